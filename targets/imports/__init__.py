"""Lists of boards that others keep, read into targets."""
