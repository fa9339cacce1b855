"""The data that comes with a model: read, split, and what it is for."""
