"""One op-level graph of a Keras model, flattened, with BatchNormalization folded into it."""
