"""Reads an ONNX model as a graph."""
