"""Which ONNX Runtime an .onnx needs, by the versions of its ops and of the format.

The runtime compares these versions before anything else, and refuses a file of newer ones. So this
is known before a byte goes to a board.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from converters.errors import ConversionError
from converters.model_file import ModelFile, Operator, RuntimeRequirement
from converters.onnx.reader import BUNDLED_DOMAIN, IR_VERSION, OnnxFile
from converters.onnx.tensorrt import tensorrt_refusals
from device_agent.contract.runtimes import TENSORRT


class _Release(NamedTuple):
    """First release of ONNX Runtime that knows these versions."""

    version: tuple[int, ...]
    ir: int
    """Newest version of the format."""
    opset: int
    """Newest version of the ops of ai.onnx."""
    ml_opset: int
    """Newest version of the ops of ai.onnx.ml."""


#: Releases that know more than those before them. Releases of every minor version from 1.14 to 1.32
#: were asked on x86-64, with files of one op.
_RELEASES = (
    _Release((1, 14), 8, 18, 3),
    _Release((1, 15), 9, 19, 3),
    _Release((1, 17), 9, 20, 4),
    _Release((1, 18), 10, 21, 5),
    _Release((1, 21), 10, 22, 5),
    _Release((1, 23), 11, 23, 5),
    _Release((1, 24), 13, 25, 5),
    _Release((1, 25), 13, 26, 5),
    _Release((1, 32), 14, 28, 5),
)
#: Distributions that contain ONNX Runtime under its own version.
_DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu")
#: First release that was seen to round the results of a Softmax to int8 as it should on 64-bit ARM;
#: 1.16.3 to 1.28.0 were seen to answer -128 for 127.
_SOFTMAX_IS_RIGHT = (1, 29)
_ML = "ai.onnx.ml."


def minimum_onnxruntime(model: ModelFile) -> RuntimeRequirement:
    """Return the oldest ONNX Runtime that knows the format and every op of a model.

    Args:
        model: A file that was read. Ops of other domains do not count, `onnx_refusals` names them.
            What is newer than every known release counts as the newest one.

    Returns:
        The requirement, 1.14 or newer; the op is empty where only that bound counts.
    """
    needed = RuntimeRequirement(_RELEASES[0].version, "", 0)
    for operator in model.operators:
        version = _release_for(operator) or _RELEASES[-1].version
        if version > needed.version or not needed.operator:
            needed = RuntimeRequirement(version, operator.name, operator.version)
    return needed


def lowest_onnxruntimes(model: ModelFile) -> dict[str, str]:
    """Return the lowest version of ONNX Runtime, by name, that knows every op of a model.

    Args:
        model: A file that was read; ops of other domains do not count.
    """
    return {"onnxruntime": ".".join(map(str, minimum_onnxruntime(model).version))}


def onnx_refusals(operators: Sequence[Operator], runtime: str, version: str) -> tuple[str, ...]:
    """Return why a runtime cannot load a model: one sentence for each version that is too new.

    Args:
        operators: Operators of the model.
        runtime: "onnxruntime", "onnxruntime-gpu" or "tensorrt".
        version: Version of the package, such as "1.23.2".

    Raises:
        ConversionError: The runtime is unknown.
    """
    if runtime == TENSORRT:
        return tensorrt_refusals(operators)
    match = re.match(r"\d+(\.\d+)*", version)
    if runtime not in _DISTRIBUTIONS or not match:
        raise ConversionError(
            f"runtime {runtime} {version} is unknown for .onnx files, and so are the ops that it "
            "loads",
            "Use onnxruntime, or tensorrt.",
        )
    number = tuple(int(part) for part in match.group().split("."))
    return tuple(_reasons(operators, number, f"{runtime} is {version}"))


def foreign_onnx_ops(model: ModelFile) -> tuple[str, ...]:
    """Return the ops of a model that ONNX Runtime's packages do not bring, by name."""
    custom = {operator.name for operator in model.operators if operator.custom}
    return tuple(sorted(name for name in custom if not name.startswith(BUNDLED_DOMAIN + ".")))


def known_faults(model: ModelFile, machine: str, version: str) -> tuple[str, ...]:
    """Return what a release of ONNX Runtime is known to compute wrongly of a model.

    Args:
        model: A file that was read.
        machine: Architecture of the board, such as "aarch64".
        version: Version of ONNX Runtime.

    Returns:
        One sentence for each fault.
    """
    number = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if not isinstance(model, OnnxFile):
        return ()
    if model.softmax_to_int8 and machine == "aarch64" and number < _SOFTMAX_IS_RIGHT:
        return (
            f"{model.path.name} rounds the results of a Softmax to int8, and ONNX Runtime {version}"
            " was seen to answer -128 for 127 there on ARM: use 1.29 or newer, or a file of uint8",
        )
    return ()


def _reasons(operators: Sequence[Operator], number: tuple[int, ...], runtime: str) -> Iterator[str]:
    newer: dict[tuple[str, int], list[Operator]] = {}
    for operator in operators:
        if operator.custom:
            if not operator.name.startswith(BUNDLED_DOMAIN + "."):
                yield (
                    f"{operator.name} is an op of neither ONNX nor ONNX Runtime, and needs a "
                    "library of its own"
                )
            continue
        needs = _release_for(operator)
        if needs is None or needs > number:
            kind = _ML if operator.name.startswith(_ML) else operator.name * _is_ir(operator)
            newer.setdefault((kind, operator.version), []).append(operator)
    for (_, version), several in newer.items():
        first, needs = several[0], _release_for(several[0])
        others = f" and {len(several) - 1} other ops" if len(several) > 1 else ""
        of_version = "version" if _is_ir(first) else "of opset"
        name = f"{first.name}{others} {of_version} {version}"
        need = "need" if others else "needs"
        if needs is None:
            yield f"{name} {'are' if others else 'is'} newer than what kedge knows of, {runtime}"
        else:
            yield f"{name} {need} onnxruntime {'.'.join(map(str, needs))}, {runtime}"


def _release_for(operator: Operator) -> tuple[int, ...] | None:
    """Return the first release that knows an op; None where no known one does."""
    if operator.custom:
        return _RELEASES[0].version
    fits = (release.version for release in _RELEASES if _newest(release, operator.name) >=
            operator.version)  # fmt: skip
    return next(fits, None)


def _newest(release: _Release, operator: str) -> int:
    if operator == IR_VERSION:
        return release.ir
    return release.ml_opset if operator.startswith(_ML) else release.opset


def _is_ir(operator: Operator) -> bool:
    return operator.name == IR_VERSION
