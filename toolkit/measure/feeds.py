"""From the samples of a data set to what the inputs of a file take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from converters.data.dataset import Samples
from converters.data.fields import select_field
from converters.data.resized_samples import resize_batch
from converters.tensor_spec import TensorSpec, quantize
from device_agent.contract.model_card import ArrayInput, ImageInput, ModelCard

Array = np.ndarray[Any, Any]

#: Inputs that are on their way, or on the board, at one time.
_BATCH_BYTES = 16 << 20


def feed_batches(
    samples: Samples, specs: Sequence[TensorSpec], card: ModelCard, most: int | None = None
) -> Iterator[tuple[int, dict[str, Array]]]:
    """Convert samples to what the inputs of a file take, a batch at a time.

    Args:
        samples: Samples, as they are stored.
        specs: Inputs of the file.
        card: Meaning of the inputs.
        most: Largest number of samples of a batch; None for what fits into some MiB. A stream is
            one batch.

    Yields:
        Number of samples that came before, and name of each input to an array of shape (n, ...) of
        its type.
    """
    stored = {spec.name: select_field(samples.stored, spec.name if len(specs) > 1 else "")
              for spec in specs}  # fmt: skip
    feeds = {spec.name: _feed(stored[spec.name], spec, card) for spec in specs}
    sample_bytes = sum(stored[spec.name][:1].size * np.dtype(spec.dtype).itemsize for spec in specs)
    size = max(1, _BATCH_BYTES // max(1, sample_bytes)) if most is None else most
    if card.streaming:  # one process has to see all of it
        size = len(samples)
    for start in range(0, len(samples), size):
        rows = slice(start, start + size)
        yield start, {name: feeds[name](of_input[rows]) for name, of_input in stored.items()}


def _feed(samples: Array, spec: TensorSpec, card: ModelCard) -> Callable[[Array], Array]:
    """From stored samples to the input's type; pixels as the agent's `preprocess` does it."""
    image = card.input(spec.name)
    if isinstance(image, ArrayInput) and image.resized_from is not None:
        return lambda stored: quantize(resize_batch(stored, spec.shape[1:]), spec)
    if not isinstance(image, ImageInput) or samples.dtype != np.uint8:
        return lambda stored: quantize(stored.astype(np.float32), spec)

    def feed(stored: Array) -> Array:
        real = (stored[..., ::-1] if image.color == "BGR" else stored).astype(np.float32)
        if image.mean is not None and image.std is not None:
            real = (real - np.asarray(image.mean, np.float32)) / np.asarray(image.std, np.float32)
        elif (image.scale, image.offset) != (1.0, 0.0):
            real = real * np.float32(image.scale) + np.float32(image.offset)
        return quantize(real.transpose(0, 3, 1, 2) if image.layout == "NCHW" else real, spec)

    return feed
