"""Lists of boards that others keep."""
