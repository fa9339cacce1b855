"""Smaller inputs, and a larger stride in the first convolution: fewer places to compute at."""
