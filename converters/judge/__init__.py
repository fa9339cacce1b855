"""How well models and files do on samples, and what may be said about the difference."""
