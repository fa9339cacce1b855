"""Takes a trained model to a small .tflite, and judges the file that was written."""
