"""The search for the best model for a board, measured on that board."""
