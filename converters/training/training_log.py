"""The figures of each epoch for TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf
import tf_keras


class TrainingLog(tf_keras.callbacks.Callback):  # type: ignore[misc]
    """Write the figures of each epoch and its learning rate into a folder of event files."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._writer = tf.summary.create_file_writer(str(folder))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write the figures of this epoch."""
        rate = self.model.optimizer.learning_rate
        if callable(rate):
            rate = rate(self.model.optimizer.iterations)
        with self._writer.as_default():
            for name, value in {**(logs or {}), "learning_rate": rate}.items():
                tf.summary.scalar(name, float(value), step=epoch)
        self._writer.flush()
