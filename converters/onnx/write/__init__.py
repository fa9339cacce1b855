"""Writes a finished .tflite as ONNX, op by op."""
