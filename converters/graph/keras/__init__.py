"""Reads Keras models, of Keras 2 and 3, into the graph."""
