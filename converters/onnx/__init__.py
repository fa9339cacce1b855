"""Reads, checks, runs and writes an .onnx, without TensorFlow."""
