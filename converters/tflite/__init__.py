"""What is inside a .tflite and what this host computes with it; imports no TensorFlow."""
