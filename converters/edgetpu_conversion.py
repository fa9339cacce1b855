"""The Edge TPU's file of a conversion: compiled, and compared with what was predicted."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from converters import durable
from converters.digest import sha256_of
from converters.errors import ConversionError
from converters.evidence.conversion import Conversion
from converters.evidence.other_file import EDGETPU_EVIDENCE, EDGETPU_NAME, ONNX_FORMAT
from converters.predicted_placement import EDGETPU
from converters.recipe.recipe import Recipe
from converters.recipe.step import NUMBERS
from converters.request import ConversionRequest
from converters.tflite.edgetpu.compiler import (
    MAPPED,
    CompilerReport,
    compile_model,
    require_compiler,
)
from converters.tflite.edgetpu.placement import predict_placement

#: Kinds of steps whose files the compiler takes.
_INTEGER_STEPS = ("ptq_w8a8", "qat_w8a8", "mixed_w8a8")
_EVIDENCE_SCHEMA = 1


@dataclass(frozen=True)
class OpPlacement:
    """Operators of one op on the Edge TPU."""

    op: str
    """Op, such as "CONV_2D"."""
    predicted: int
    """Number of them that kedge predicted on the Edge TPU."""
    compiled: int
    """Number of them that the compiler put there."""


@dataclass(frozen=True)
class EdgetpuCompilation:
    """A file for the Edge TPU, and how the compiler placed the operators."""

    path: Path
    """The compiled file."""
    report: CompilerReport
    """Table of the compiler."""
    ops: tuple[OpPlacement, ...]
    """Prediction beside the result, for each op; empty where the output of the compiler has no
    table."""

    @property
    def differences(self) -> tuple[OpPlacement, ...]:
        """Ops that the compiler placed otherwise than predicted."""
        return tuple(each for each in self.ops if each.predicted != each.compiled)

    def plain(self) -> dict[str, Any]:
        """Return the table, and the prediction beside it, as plain data."""
        return {
            "file": self.path.name,
            "compiler": asdict(self.report),
            "prediction": [asdict(each) for each in self.ops],
            "agrees": not self.differences if self.report.is_readable else None,
        }


def check_accelerator(request: ConversionRequest, recipe: Recipe) -> None:
    """Refuse, before the work, a conversion whose file cannot be compiled for the Edge TPU.

    Args:
        request: The request.
        recipe: Its recipe.

    Raises:
        MissingConvertExtraError: The compiler is not installed.
        ConversionError: The recipe makes no file of integers, or no .tflite.
    """
    last = recipe.steps[-1] if recipe.steps else None
    if last is None or last.phase != NUMBERS or last.kind not in _INTEGER_STEPS:
        raise ConversionError(
            f"recipe {recipe.name}: the Edge TPU takes files of 8-bit integers only",
            "Use ptq_w8a8 or qat_w8a8.",
        )
    if request.format == ONNX_FORMAT:
        raise ConversionError(
            "the compiler of the Edge TPU takes no .onnx", "Use --format tflite or both."
        )
    require_compiler()


def compile_conversion(conversion: Conversion) -> EdgetpuCompilation:
    """Compile the file of a conversion, and write the result and the evidence beside it.

    Args:
        conversion: A conversion whose files are whole.

    Raises:
        MissingConvertExtraError: The compiler is not installed.
        ConversionError: The compiler refuses the file, or its result cannot be used.
        HostDiskError: The disk is full.
    """
    model, out = conversion.model, conversion.model.parent
    predicted = predict_placement(model)
    with (
        durable.translate_errors(out),
        tempfile.TemporaryDirectory(dir=out, prefix=".edgetpu-") as (name),
    ):
        folder = Path(name)
        compiled, report = compile_model(model, folder)
        ops = _compare(
            Counter(each.op for each in predicted.operators if each.executor == EDGETPU), report
        )
        compilation = EdgetpuCompilation(out / EDGETPU_NAME, report, ops)
        evidence = {
            "schema": _EVIDENCE_SCHEMA,
            "model_sha256": conversion.model_sha256,
            "sha256": sha256_of(compiled),
            "size_bytes": compiled.stat().st_size,
            **compilation.plain(),
        }
        text = json.dumps(evidence, indent=2) + "\n"
        compiled.rename(folder / EDGETPU_NAME)
        durable.write(folder / EDGETPU_EVIDENCE, text.encode())
        durable.publish(folder, out, (EDGETPU_NAME, EDGETPU_EVIDENCE))
    return compilation


def _compare(predicted: Counter[str], report: CompilerReport) -> tuple[OpPlacement, ...]:
    if not report.is_readable:
        return ()
    mapped: Counter[str] = Counter()
    for status in report.operators:
        mapped[status.op] += status.count if status.status == MAPPED else 0
    names = sorted({*predicted, *mapped})
    return tuple(OpPlacement(name, predicted[name], mapped[name]) for name in names)
