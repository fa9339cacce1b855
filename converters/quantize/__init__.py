"""Quantization techniques, one a file."""
