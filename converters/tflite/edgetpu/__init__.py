"""Which operators of a .tflite an Edge TPU will run, and why not the others."""
