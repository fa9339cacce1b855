"""Sends conversions and measurements to the trackers of experiments that people use."""
