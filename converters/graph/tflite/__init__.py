"""Reads float .tflite files, whoever made them, into the graph."""
