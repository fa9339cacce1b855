"""How true a quantized file is to the float one, on samples that nothing else was decided with."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from converters.data.dataset import Samples
from converters.data.split import Labels, balanced_choice
from converters.judge.evaluate import chosen_classes
from converters.judge.metric import Judged, share_lost
from converters.tflite.quantization import dequantize, quantize
from converters.tflite.reader import read_model
from converters.tflite.run import run_model

Floats = npt.NDArray[np.float32]

#: So many samples tell which of two files is better; more only take time.
_SAMPLES = 500
#: A signal without noise: as good as equal.
_NO_NOISE_DB = 120.0


@dataclass(frozen=True)
class Fidelity:
    """A file against the float one.

    Attributes:
        accuracy: On the samples, 0-1; of what is no classifier what is left of the float file's
            figure, so that 0.95 is an error that grew by 5 %.
        sqnr_db: Signal to quantization noise of the outputs, in decibels; 6 are one bit.
    """

    accuracy: float
    sqnr_db: float

    def is_better_than(self, other: Fidelity) -> bool:
        """Whether its outputs are truer, and no sample was lost for it."""
        return self.sqnr_db > other.sqnr_db and self.accuracy >= other.accuracy


class Judge:
    """Asks files about the same samples.

    Attributes:
        accuracy: Of the float file, 0-1.
    """

    def __init__(self, content: bytes, samples: Samples, probabilities: bool, seed: int) -> None:
        rows = balanced_choice(samples.labels, _SAMPLES, seed)
        self._samples, self._batch = samples.subset(rows), samples.batch(rows)
        self._probabilities = probabilities
        self._expected = self._answers(content)
        self.accuracy = self._share_right(self._expected)

    def __call__(self, content: bytes) -> Fidelity:
        """How a file does.

        Raises:
            ConversionError: The runtime cannot run it.
        """
        answers = self._answers(content)
        return Fidelity(self._share_right(answers), sqnr_db(self._expected, answers))

    def _answers(self, content: bytes) -> Floats:
        with tempfile.TemporaryDirectory(prefix="kedge-") as folder:
            path = Path(folder) / "model.tflite"
            path.write_bytes(content)
            model = read_model(path)
            (spec,), (output,) = model.inputs, model.outputs
            answers = run_model(path, {spec.name: quantize(self._batch, spec)})
        return dequantize(answers[output.name], output)

    def _share_right(self, answers: Floats) -> float:
        samples = self._samples
        if not samples.task.is_classification:
            before, after = self._judged(self._expected), self._judged(answers)
            return 1.0 - share_lost(before, after)
        chosen: Labels = chosen_classes(answers, self._probabilities)
        return float((chosen == samples.labels).mean())

    def _judged(self, answers: Floats) -> Judged:
        samples = self._samples
        return Judged(samples.task, samples.wanted(slice(None)), answers, samples.labels)


def sqnr_db(signal: npt.NDArray[np.float32], noisy: npt.NDArray[np.float32]) -> float:
    """Signal to quantization noise: 10 log10(sum s^2 / sum (s - n)^2), at most 120 decibels."""
    reference = signal.astype(np.float64)
    noise = float(((reference - noisy) ** 2).sum())
    power = float((reference**2).sum())
    if noise <= power * 10 ** (-_NO_NOISE_DB / 10):
        return _NO_NOISE_DB
    return float(10 * np.log10(max(power, 1e-30) / noise))
