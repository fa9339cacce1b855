"""The formats in which a conversion is written: each is judged by its own runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters import durable
from converters.data.dataset import TEST, Samples
from converters.evidence.conversion import GOLDEN_NAME
from converters.evidence.golden import Golden, write_golden
from converters.evidence.golden_inputs import golden_inputs
from converters.evidence.other_file import (
    BOTH_FORMATS,
    ONNX_GOLDEN_NAME,
    ONNX_NAME,
    TENSORRT_FORMAT,
    TFLITE_FORMAT,
    FormatParity,
    OtherFile,
)
from converters.formats import FORMATS
from converters.judge.evaluate import Judgement, judge_file
from converters.judge.paired import Drop
from converters.judge.score import FILE
from converters.model_file import ModelFile
from converters.progress import Progress, Report
from converters.request import ConversionRequest
from converters.sources.loaded_model import LoadedModel
from converters.tensor_spec import TensorSpec

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class WrittenFiles:
    """The file that ships and, where the user asked for both formats, the other one."""

    model: ModelFile
    """The file that conversion.json is about."""
    judgement: Judgement
    """Figures of the original model and of this file."""
    others: tuple[OtherFile, ...] = ()
    """The .onnx beside a .tflite."""
    parity: FormatParity | None = None
    """Differences between both formats; None where no .onnx was written."""

    @property
    def drops(self) -> tuple[Drop, ...]:
        """Drops of all files that ship: a budget holds for each."""
        return (*self.judgement.drops, *(drop for other in self.others for drop in other.drops))


@dataclass(frozen=True)
class GoldenSource:
    """What golden inputs are chosen from."""

    samples: Mapping[str, Samples]
    """Use of samples to the samples."""
    compared: Samples | None
    """Training samples whose outputs are compared, too; None where there are enough others."""
    own_labels: bool
    """Whether labels are what the original model answers."""


def write_formats(
    request: ConversionRequest,
    source: LoadedModel,
    model: ModelFile,
    golden_source: GoldenSource,
    report: Report,
) -> WrittenFiles:
    """Write the formats that a request names, judge each, and write golden inputs for each.

    Args:
        request: The request.
        source: The original model.
        model: The finished .tflite. It is removed where only an .onnx was requested.
        golden_source: Samples.
        report: Called now and then.

    Raises:
        MissingConvertExtraError: A package for .onnx files is not installed.
        ConversionError: An op cannot be written as ONNX, or a runtime cannot run the file.
    """
    folder = model.path.parent
    samples = {
        use: each
        for use, each in golden_source.samples.items()
        if use != TEST or request.judge_test
    }
    golden = _golden(source, model, golden_source, request.seed)
    if request.format == TFLITE_FORMAT:
        write_golden(folder / GOLDEN_NAME, golden)
        return WrittenFiles(model, judge_file(source, model, samples, report))
    report(Progress("write ONNX", 0, 0))
    onnx = _write_onnx(model, folder / ONNX_NAME, request.format == TENSORRT_FORMAT)
    onnx_golden = _golden(source, onnx, golden_source, request.seed)
    parity = compare_formats((model, golden), (onnx, onnx_golden))
    onnx_judgement = judge_file(source, onnx, samples, report)
    if request.format != BOTH_FORMATS:
        model.path.unlink()
        write_golden(folder / GOLDEN_NAME, onnx_golden)
        return WrittenFiles(onnx, onnx_judgement, parity=parity)
    write_golden(folder / GOLDEN_NAME, golden)
    write_golden(folder / ONNX_GOLDEN_NAME, onnx_golden)
    other = OtherFile(
        ONNX_NAME,
        onnx.sha256,
        onnx.size_bytes,
        ONNX_GOLDEN_NAME,
        onnx_judgement.accuracy(FILE),
        onnx_judgement.metric,
        onnx_judgement.drops,
    )
    return WrittenFiles(model, judge_file(source, model, samples, report), (other,), parity)


def _write_onnx(model: ModelFile, path: Path, symmetric: bool) -> ModelFile:
    from converters.onnx.write.file import onnx_of_tflite  # needs a package of its own

    durable.write(path, onnx_of_tflite(model.path.read_bytes(), symmetric))
    return FORMATS["onnx"].read(path)


def _golden(
    source: LoadedModel, model: ModelFile, golden_source: GoldenSource, seed: int
) -> Golden:
    golden = golden_inputs(source, model, golden_source.samples[TEST], golden_source.compared, seed)
    return replace(golden, own_labels=golden_source.own_labels)


def compare_formats(
    tflite: tuple[ModelFile, Golden], onnx: tuple[ModelFile, Golden]
) -> FormatParity:
    """Compare the answers of two files of one model to the same golden inputs.

    Args:
        tflite: The .tflite and its golden inputs.
        onnx: The .onnx and its golden inputs.

    Raises:
        ConversionError: A runtime cannot run its file.
    """
    (before, golden), (after, onnx_golden) = tflite, onnx
    expected = FORMATS["tflite"].run_here(before.path, golden.inputs, reset=before.reset)
    answers = FORMATS["onnx"].run_here(after.path, onnx_golden.inputs, reset=after.reset)
    largest, above, count = 0.0, 0, 0
    same: list[float] = []
    is_classifier = golden.labels is not None or bool(golden.outputs)
    for spec, other in zip(before.outputs, after.outputs, strict=True):
        first, second = expected[spec.name], answers[other.name]
        steps = _differences(spec, other, first, second)
        largest = max(largest, float(steps.max(initial=0.0)))
        if spec.scale is not None:
            above, count = above + int((steps > 1).sum()), count + steps.size
        if is_classifier and first.ndim == 2 and first.shape[1] > 1:
            same.append(float((first.argmax(axis=1) == second.argmax(axis=1)).mean()))
    samples = len(next(iter(golden.inputs.values())))
    share = above / count if count else None
    return FormatParity(samples, largest, share, min(same, default=None))


def _differences(spec: TensorSpec, other: TensorSpec, first: Array, second: Array) -> Array:
    """Differences of an output in steps, or as a share of the range of real numbers."""
    difference: Array
    values, others = first.astype(np.float64), second.astype(np.float64)
    if spec.scale is not None and other.scale is None:  # real numbers, for TensorRT
        real = (values - (spec.zero_point or 0)) * spec.scale
        difference = np.abs(others - real) / spec.scale
        return difference
    if spec.scale is not None:
        shift = (other.zero_point or 0) - (spec.zero_point or 0)
        difference = np.abs(others - shift - values)
        return difference
    spread = float(np.ptp(values)) if values.size else 0.0
    difference = np.abs(others - values) / (spread or 1.0)
    return difference
