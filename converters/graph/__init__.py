"""A model as one graph of ops, flattened, with BatchNormalization folded into it."""
