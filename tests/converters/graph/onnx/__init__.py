"""Tests of what reads ONNX models as graphs."""
