"""Measurements that are too long, or too noisy, for a test. `make bench` runs them all."""
