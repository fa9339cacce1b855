"""Which TFLite runtime a .tflite needs, by the versions of its ops.

The runtime looks ops up by name and version before anything else; a version it does not know makes
the whole model fail to load. So this is known before a byte goes to a board.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import tomlkit

from converters.errors import ConversionError
from converters.model_file import ModelFile, Operator, RuntimeRequirement
from converters.tflite.reader import EDGETPU_OP

_TABLE = Path(__file__).with_name("op_versions.toml")

#: TFLite that the table's newest entries need. An op that is not in it counts as newer.
NEWEST_KNOWN = (2, 22)

#: From this ai-edge-litert on: the TFLite that it contains.
#: 2.3 was asked op by op: it loads DEQUANTIZE version 8, which the table dates 2.22. The others
#: are assumed from the dates of the releases, one TFLite version each.
_LITERT_CONTAINS = (
    ((2, 3), (2, 22)),
    ((2, 0), (2, 21)),
    ((1, 3), (2, 20)),
    ((1, 1), (2, 19)),
    ((1, 0), (2, 17)),
)

#: Custom ops that both tflite-runtime 2.14.0 and ai-edge-litert 2.3.0 were seen to bring.
_BUNDLED_CUSTOM_OPS = frozenset(
    {"TFLite_Detection_PostProcess", "Mfcc", "AudioSpectrogram", "NumericVerify"}
)


def minimum_runtime(model: ModelFile) -> RuntimeRequirement:
    """Return the oldest TFLite runtime that knows every builtin op of the model.

    Args:
        model: A file that was read. An op that the table does not know counts as `NEWEST_KNOWN`;
            custom ops do not count, `refusals` names them.

    Returns:
        The requirement; version (1, 5) with an empty operator where there are no builtin ops.
    """
    needed = RuntimeRequirement((1, 5), "", 0)
    for operator in model.operators:
        if operator.custom:
            continue
        version = _needs(operator) or NEWEST_KNOWN
        if version > needed.version or not needed.operator:
            needed = RuntimeRequirement(version, operator.name, _version(operator))
    return needed


def tflite_version(runtime: str, runtime_version: str) -> tuple[int, ...]:
    """Return the TFLite that a runtime package contains.

    Args:
        runtime: "tflite-runtime", "ai-edge-litert" or "tensorflow".
        runtime_version: Version of the package, such as "2.5.0.post1".

    Returns:
        Version of TFLite, such as (2, 17).

    Raises:
        ConversionError: The runtime or the form of its version is unknown.
    """
    match = re.match(r"\d+(\.\d+)*", runtime_version)
    if runtime not in ("tflite-runtime", "ai-edge-litert", "tensorflow") or not match:
        raise ConversionError(
            f"runtime {runtime} {runtime_version} is unknown, and so are the ops that it loads",
            "Use tflite-runtime or ai-edge-litert.",
        )
    version = tuple(int(part) for part in match.group().split("."))
    if runtime != "ai-edge-litert":
        return version
    return next((tflite for litert, tflite in _LITERT_CONTAINS if version >= litert), (2, 16))


def lowest_runtimes(model: ModelFile) -> dict[str, str]:
    """Return the lowest version of each runtime that knows every builtin op of a model.

    Args:
        model: A file that was read; custom ops do not count.

    Returns:
        Version by name of the runtime, such as "2.17" of "tflite-runtime".
    """
    needed = minimum_runtime(model).version
    text = ".".join(map(str, needed))
    litert = min((own for own, tflite in _LITERT_CONTAINS if tflite >= needed), default=(1, 0))
    return {
        "ai-edge-litert": ".".join(map(str, litert)),
        "tensorflow": text,
        "tflite-runtime": text,
    }


def refusals(operators: Sequence[Operator], runtime: str, runtime_version: str) -> tuple[str, ...]:
    """Return why a runtime cannot load a model: one sentence for each op, none if it can.

    Args:
        operators: Operators of the model.
        runtime: "tflite-runtime", "ai-edge-litert" or "tensorflow".
        runtime_version: Version of the package, such as "2.5.0.post1".

    Raises:
        ConversionError: The runtime is unknown.
    """
    contains = tflite_version(runtime, runtime_version)
    name = f"{runtime} is {runtime_version}"
    reasons = (_refusal(operator, contains, name) for operator in operators)
    return tuple(reason for reason in reasons if reason)


def tflite_faults(model: ModelFile, machine: str, version: str) -> tuple[str, ...]:
    """Return what a release is known to compute wrongly of a .tflite: nothing is known."""
    del model, machine, version
    return ()


def tflite_form_refusals(model: ModelFile, runtime: str) -> tuple[str, ...]:
    """Return why a runtime does not take the form of a .tflite: all take every form."""
    del model, runtime
    return ()


def foreign_ops(model: ModelFile) -> tuple[str, ...]:
    """Return the custom ops of a model that no runtime wheel brings, by name.

    A delegate, a vendor's build or full TensorFlow may bring them.
    """
    custom = {operator.name for operator in model.operators if operator.custom}
    return tuple(sorted(custom - _BUNDLED_CUSTOM_OPS))


def _refusal(operator: Operator, contains: tuple[int, ...], runtime: str) -> str:
    if operator.custom:
        return _custom_refusal(operator.name)
    needs = _needs(operator)
    name = f"{operator.name} version {_version(operator)}"
    if needs is None:
        if contains >= NEWEST_KNOWN:
            return ""
        return f"{name} is newer than every runtime that kedge knows, {runtime}"
    if contains >= needs:
        return ""
    if operator.least_version > operator.version:
        name += f" (its weights call for it, though the file claims {operator.version})"
    return f"{name} needs a TFLite runtime of {'.'.join(map(str, needs))}, {runtime}"


def _custom_refusal(name: str) -> str:
    # The Edge TPU's op is loaded by its delegate, which not the runtime but the board has.
    if name == EDGETPU_OP or name in _BUNDLED_CUSTOM_OPS:
        return ""
    if name.startswith("Flex"):
        return f"{name} is an op of full TensorFlow (Flex), which no TFLite runtime wheel contains"
    return f"{name} is a custom op, which no TFLite runtime wheel contains"


def _version(operator: Operator) -> int:
    return max(operator.version, operator.least_version)


def _needs(operator: Operator) -> tuple[int, ...] | None:
    versions, version = _op_versions().get(operator.name, []), _version(operator)
    if version > len(versions) or not versions[version - 1]:
        return None
    return tuple(int(part) for part in versions[version - 1].split("."))


@lru_cache(maxsize=1)
def _op_versions() -> dict[str, list[str]]:
    return dict(tomlkit.parse(_TABLE.read_text(encoding="utf-8")).unwrap())
