"""A conversion in a second format, and how far its answers are from the first."""

from __future__ import annotations

from dataclasses import dataclass

from converters.judge.metric import MetricFigures
from converters.judge.paired import Drop
from converters.judge.score import Accuracy

#: Formats that a conversion writes: one of them, or the first two.
TFLITE_FORMAT, ONNX_FORMAT, BOTH_FORMATS = "tflite", "onnx", "both"
#: An .onnx whose zero points are 0 and whose inputs and outputs are float32, as TensorRT needs it.
TENSORRT_FORMAT = "tensorrt"
OUTPUT_FORMATS = (TFLITE_FORMAT, ONNX_FORMAT, BOTH_FORMATS, TENSORRT_FORMAT)
ONNX_NAME = "model.onnx"
#: Name of the golden inputs of the .onnx, where golden.npz belongs to the .tflite.
ONNX_GOLDEN_NAME = "golden_onnx.npz"
#: Names of the files of a second format.
OTHER_NAMES = (ONNX_NAME, ONNX_GOLDEN_NAME)
#: File for the Edge TPU that was compiled from the .tflite, and the evidence about it.
EDGETPU_NAME, EDGETPU_EVIDENCE = "model_edgetpu.tflite", "model_edgetpu.json"


@dataclass(frozen=True)
class FormatParity:
    """Differences between the answers of the .onnx and of the .tflite to the golden inputs."""

    samples: int
    """Number of inputs."""
    largest: float
    """Largest difference: of quantized outputs in steps (LSB), of others as a share of the range of
    the output."""
    share_above_one: float | None
    """Share of the values of quantized outputs that differ by more than one step, 0-1; None where
    no output is quantized."""
    same_class: float | None
    """Share of inputs for which both choose the same class, 0-1; None for tasks other than
    classification."""


@dataclass(frozen=True)
class OtherFile:
    """The .onnx beside a .tflite, judged by ONNX Runtime."""

    name: str
    """Name of the file, beside conversion.json."""
    sha256: str
    """Its digest."""
    size_bytes: int
    """Its size."""
    golden: str
    """Name of its golden inputs."""
    accuracy: Accuracy | None
    """Accuracy on the test samples; None if the task is no classification."""
    metric: MetricFigures | None
    """Figures of a task that is no classification; None for one, and for several outputs."""
    drops: tuple[Drop, ...]
    """Drops from the model to this file, on each split that was judged."""
