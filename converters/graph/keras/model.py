"""A Keras model as far as kedge uses one: neither Keras gives types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt


class KerasModel(Protocol):
    """A built model of tf-keras or Keras 3."""

    name: str
    """Name of the model."""

    @property
    def inputs(self) -> Sequence[Any]:
        """Symbolic tensors of the inputs, with a batch axis."""

    @property
    def outputs(self) -> Sequence[Any]:
        """Symbolic tensors of the outputs, with a batch axis."""

    @property
    def layers(self) -> Sequence[Any]:
        """Layers; a model inside of the model is one."""

    @property
    def weights(self) -> Sequence[Any]:
        """Variables of all layers."""

    def get_weights(self) -> list[npt.NDArray[np.float32]]:
        """Values of `weights`, each of the shape of its variable."""

    def __call__(self, inputs: Any, *, training: bool) -> Any:
        """Answers to a batch: a tensor, of several inputs or outputs a list of tensors."""

    def predict_on_batch(self, x: Any) -> Any:
        """Answers to a batch as arrays, shape (n, *shape of the output)."""

    def save(self, filepath: str) -> None:
        """Write the model as a .keras file."""
