"""Replaces layers by cheaper ones of the same shape: low rank, separable, other activations."""
