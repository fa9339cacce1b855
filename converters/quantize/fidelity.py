"""Fidelity of a quantized file to the float file, on samples that decide nothing else."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.dataset import VALIDATION, Samples
from converters.data.fields import select_field
from converters.data.split import balanced_choice
from converters.judge.evaluate import ModelAnswers
from converters.judge.input_rounding import round_inputs
from converters.judge.metric import share_lost
from converters.noise import decibels
from converters.sources.inputs_outputs import Probabilities
from converters.tensor_spec import TensorSpec
from converters.tflite.quantization import dequantize_outputs, quantize_inputs
from converters.tflite.reader import read_model
from converters.tflite.run import run_model

Array = npt.NDArray[Any]

#: Number of samples that show which of two files is better; more only take time.
_SAMPLES = 500


@dataclass(frozen=True)
class Fidelity:
    """Comparison of a quantized file with the float file."""

    accuracy: float
    """Accuracy on the samples, 0-1. For tasks other than classification: 1 minus the loss as a
    share of the float file's figure, so that 0.95 is an error that grew by 5 %. For several
    outputs: 1 minus the largest loss of an output, in accuracy or as such a share."""
    sqnr_db: float
    """Signal to quantization noise ratio of the outputs, in decibels; 6 dB are one bit. For several
    outputs the ratio of the noisiest output."""

    def is_better_than(self, other: Fidelity) -> bool:
        """Whether the outputs have less noise and the accuracy is not lower."""
        return self.sqnr_db > other.sqnr_db and self.accuracy >= other.accuracy


class Judge:
    """Judge of files on fixed samples; `accuracy` is that of the float file, 0-1."""

    def __init__(
        self, content: bytes, samples: Samples, probabilities: Probabilities, seed: int
    ) -> None:
        rows = balanced_choice(samples.labels, _SAMPLES, seed)
        self._content = content
        self._samples, self._batch = samples.subset(rows), samples.batch(rows)
        self._probabilities = probabilities
        self._expected = self._answers(content, self._batch)
        self.accuracy = self._share_right(self._expected)

    def __call__(self, content: bytes) -> Fidelity:
        """Compare a file with the float file.

        Raises:
            ConversionError: The runtime cannot run the file.
        """
        return self._fidelity(self._answers(content, self._batch))

    def of_rounded_inputs(self, inputs: Sequence[TensorSpec]) -> Fidelity:
        """Compare the float file with itself on inputs that are rounded as those of another file.

        Args:
            inputs: Inputs of the other file.
        """
        return self._fidelity(self._answers(self._content, round_inputs(inputs, self._batch)))

    def _fidelity(self, answers: Array) -> Fidelity:
        of_each = [
            sqnr_db(select_field(self._expected, name), select_field(answers, name))
            for name in self._samples.task.names or ("",)
        ]
        return Fidelity(self._share_right(answers), min(of_each))

    def _answers(self, content: bytes, batch: Array) -> Array:
        with tempfile.TemporaryDirectory(prefix="kedge-") as folder:
            path = Path(folder) / "model.tflite"
            path.write_bytes(content)
            model = read_model(path)
            inputs = quantize_inputs(model.inputs, batch)
            answers = run_model(path, inputs, reset=model.reset)
        return dequantize_outputs(model.outputs, answers, self._samples.task.names)

    def _share_right(self, answers: Array) -> float:
        before = ModelAnswers(self._samples, self._expected, self._probabilities)
        after = replace(before, answers=answers)
        if self._samples.task.parts:
            return 1.0 - before.drop_to(after, VALIDATION).fraction
        if not self._samples.task.is_classification:
            return 1.0 - share_lost(before.by_metric, after.by_metric)
        return float((after.classes == self._samples.labels).mean())


def sqnr_db(signal: npt.NDArray[np.float32], noisy: npt.NDArray[np.float32]) -> float:
    """Signal to quantization noise ratio: 10 log10(sum s^2 / sum (s - n)^2), in decibels.

    Args:
        signal: Outputs s of the float file, any shape.
        noisy: Outputs n of the quantized file, the shape of `signal`.

    Returns:
        Ratio, at most 120 decibels.
    """
    reference = signal.astype(np.float64)
    return decibels(float((reference**2).sum()), float(((reference - noisy) ** 2).sum()))
