"""Real samples: from pixels to inputs, from outputs to answers."""
