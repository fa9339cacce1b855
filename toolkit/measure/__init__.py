"""Acts that measure models on boards."""
