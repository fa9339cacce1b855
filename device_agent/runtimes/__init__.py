"""What runs a model file on the board."""
