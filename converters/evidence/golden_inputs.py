"""Chooses the golden inputs of a file from held-out samples."""

from __future__ import annotations

import numpy as np

from converters.data.dataset import Samples
from converters.data.fields import select_field
from converters.data.split import balanced_choice
from converters.evidence.golden import Golden, Right, sample_count
from converters.judge.evaluate import samples_of_file, threshold
from converters.model_file import ModelFile
from converters.sources.loaded_model import LoadedModel
from converters.tflite.quantization import quantize_inputs

#: Fewest inputs that settle whether the outputs of two kinds of kernels agree.
LEAST_COMPARED = 500


def golden_inputs(
    source: LoadedModel, model: ModelFile, test: Samples, train: Samples | None, seed: int
) -> Golden:
    """Choose held-out samples and quantize them for a file, for a comparison on a board.

    Args:
        source: The original model, which knows what its outputs mean.
        model: The file.
        test: Held-out samples.
        train: Training samples whose outputs are compared, too; None where there are enough
            held-out ones.
        seed: Seed of the choice.
    """
    sample_bytes = sum(
        int(np.prod(spec.shape[1:])) * np.dtype(spec.dtype).itemsize for spec in model.inputs
    )
    rows = balanced_choice(test.labels, sample_count(len(test), sample_bytes), seed)
    inputs = quantize_inputs(
        model.inputs, samples_of_file(model, test.subset(rows)).batch(slice(None))
    )
    count = max(0, sample_count(LEAST_COMPARED, sample_bytes) - len(rows))
    more_inputs = {}
    if train is not None and count:
        more = samples_of_file(model, train.subset(slice(count)))
        more_inputs = quantize_inputs(model.inputs, more.batch(slice(None)))
    right: dict[str, Right] = {}
    for name, samples in test.by_output().items():
        shape = next(end.shape for end in source.outputs if name in ("", end.name))
        decides = (
            threshold(select_field(source.probabilities, name)) if np.prod(shape) == 1 else None
        )
        if samples.task.is_classification:
            right[name] = Right(samples.labels[rows], decides)
    if test.task.parts:
        return Golden(model.sha256, inputs, None, None, right, more_inputs=more_inputs)
    alone = right.get("", Right(None))
    return Golden(model.sha256, inputs, alone.labels, alone.threshold, more_inputs=more_inputs)
