"""How models are executed on a target, as its entry in `kedge.toml` says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from device_agent.contract.runtimes import (
    BOARD_PREFIX,
    PROVIDER_SUFFIX,
    RUNTIME_FORMATS,
    TENSORRT,
    distribution_of,
)
from targets.errors import TargetError

#: The Edge TPU's delegate; every other is named by the path of its library on the board.
EDGETPU = "edgetpu"

#: More threads, or cores, than any board has.
_MOST = 1024

_PROVIDER = re.compile(rf"[A-Za-z0-9]{{1,40}}{PROVIDER_SUFFIX}\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


class ExecutionError(TargetError):
    """An entry of `kedge.toml` says how to run models in a way that cannot be meant."""

    exit_code = 3


@dataclass(frozen=True)
class Execution:
    """How models are executed on a target; kedge chooses what the entry leaves out."""

    runtime: str | None = None
    """`NAME`, `NAME VERSION`, or `board:NAME` for one that the board has of its own."""
    python: str | None = None
    """Path of the board's Python that runs the agent, such as that of a virtual environment."""
    delegate: str = ""
    """`edgetpu`, the path of a delegate's library on the board, or the name of an execution
    provider of ONNX Runtime; empty for none."""
    allow_cpu: bool = False
    """Whether a model that the delegate does not take may run on the CPU instead: one that is not
    compiled for the Edge TPU, or of the format of the other runtimes."""
    threads: int | None = None
    """Threads of the runtime where a command does not say."""
    cores: tuple[int, ...] = ()
    """Cores that inference is kept to; empty for all."""
    wheels: tuple[str, ...] = ()
    """SHA-256 of each wheel that may be brought to the board though it is not a published one."""

    def uses_delegate(self, model_format: str, is_compiled: bool) -> bool:
        """Whether a model runs on the delegate.

        Args:
            model_format: Name of the format of the model file.
            is_compiled: Whether the model was compiled for the Edge TPU.
        """
        takes = self.takes_format(model_format) and (is_compiled or not self.drives_edgetpu)
        return bool(self.delegate) and (takes or not self.allow_cpu)

    def takes_format(self, model_format: str) -> bool:
        """Whether the delegate is for files of a format: a provider of ONNX Runtime for .onnx."""
        return self.delegate.endswith(PROVIDER_SUFFIX) == (model_format == "onnx")

    @property
    def drives_edgetpu(self) -> bool:
        """Whether models run on an Edge TPU."""
        return self.delegate == EDGETPU

    def as_entry(self) -> dict[str, Any]:
        """Return the fields of an entry; `None` for one that is not to be there."""
        return {
            "runtime": self.runtime,
            "python": self.python,
            "delegate": self.delegate or None,
            "allow_cpu": self.allow_cpu or None,
            "threads": self.threads,
            "cores": list(self.cores) or None,
            "wheels": list(self.wheels) or None,
        }


#: The keys of an entry that this module reads.
KEYS = frozenset(Execution().as_entry())


def read_execution(where: str, entry: Mapping[str, Any]) -> Execution:
    """Read the fields of a target's entry.

    Args:
        where: File and table, for the message.
        entry: The table.

    Raises:
        ExecutionError: A field is not right; the message names it.
    """
    runtime = _text(where, entry, "runtime")
    runtime = BOARD_PREFIX + TENSORRT if runtime == TENSORRT else runtime
    if runtime is not None:
        _check_runtime(where, runtime)
    delegate = _text(where, entry, "delegate") or ""
    if delegate and not _is_delegate(delegate):
        raise ExecutionError(
            f"{where}: delegate must be {EDGETPU!r}, the absolute path of a library on the board, "
            f"or a provider of ONNX Runtime such as CUDAExecutionProvider, found {delegate!r}"
        )
    if delegate.endswith(PROVIDER_SUFFIX) and runtime == BOARD_PREFIX + TENSORRT:
        raise ExecutionError(
            f"{where}: delegate {delegate!r} is a provider of ONNX Runtime, and the runtime is "
            "TensorRT",
            "Leave out `delegate`, or `runtime`.",
        )
    python = _text(where, entry, "python")
    if python is not None and not python.startswith("/"):
        raise ExecutionError(f"{where}: python must be an absolute path, found {python!r}")
    allow_cpu = entry.get("allow_cpu", False)
    if not isinstance(allow_cpu, bool):
        raise ExecutionError(f"{where}: allow_cpu must be true or false, found {allow_cpu!r}")
    threads = entry.get("threads")
    if threads is not None and not _is_count(threads, 1):
        raise ExecutionError(f"{where}: threads must be 1 to {_MOST}, found {threads!r}")
    cores = entry.get("cores", [])
    if not isinstance(cores, list) or not all(_is_count(core, 0) for core in cores):
        raise ExecutionError(
            f"{where}: cores must be a list of core numbers, found {cores!r}",
            "Write cores = [4, 5, 6, 7], or leave it out.",
        )
    wheels = entry.get("wheels", [])
    if not isinstance(wheels, list) or not all(_is_sha256(digest) for digest in wheels):
        raise ExecutionError(
            f"{where}: wheels must be a list of SHA-256 digests, each 64 digits of lower-case "
            f"hexadecimal, found {wheels!r}",
            "`sha256sum FILE.whl` prints one; without `wheels` only published wheels are used.",
        )
    return Execution(
        runtime=runtime,
        python=python,
        delegate=delegate,
        allow_cpu=allow_cpu,
        threads=threads and int(threads),
        cores=tuple(map(int, cores)),
        wheels=tuple(map(str, wheels)),
    )


def _check_runtime(where: str, runtime: str) -> None:
    name, _, version = runtime.partition(" ")
    is_boards = distribution_of(name) != name
    if distribution_of(name) not in RUNTIME_FORMATS or (is_boards and version):
        names = ", ".join(RUNTIME_FORMATS)
        raise ExecutionError(
            f"{where}: there is no runtime {runtime!r}; known are {names}",
            'Write runtime = "NAME", "NAME VERSION", or "board:NAME" for one that the board has.',
        )


def _is_delegate(text: str) -> bool:
    return text == EDGETPU or text.startswith("/") or _PROVIDER.match(text) is not None


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= _MOST


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and _SHA256.match(value) is not None


def _text(where: str, entry: Mapping[str, Any], key: str) -> str | None:
    value = entry.get(key)
    if value is not None and not isinstance(value, str):
        raise ExecutionError(f"{where}: {key} must be a string, found {value!r}")
    return str(value) if value is not None else None
