"""Runs a model file on this host in a process of its own, because a runtime may crash on a file.

A file that kedge wrote itself is run in the conversion's own process; one that a user brings goes
this way.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from converters.deadline import LONGEST_SAMPLE_S, endless_sample
from converters.errors import ConversionError, MissingConvertExtraError
from converters.parent_death import end_with_parent
from device_agent.contract.state import RESET

Array = npt.NDArray[Any]

#: The child's exit codes when the runtime refused the file, and when it is not installed; its
#: standard error then holds why.
_REFUSED, _MISSING = 4, 3

_READ_BYTES = 1 << 16

#: Folder of our packages. `-m` looks in the current folder first, which must not be a user's.
_OURS = Path(__file__).parents[1]


def run_in_process(
    function: str,
    path: Path,
    inputs: Mapping[str, Array],
    on_progress: Callable[[int, int], None] | None = None,
    most_s: float | None = None,
    reset: str = RESET,
) -> dict[str, Array]:
    """Run a model file on this host, one sample at a time, whatever it does to the runtime.

    Args:
        function: Function that runs files of a format in this process, as "module:name".
        path: The file.
        inputs: Name of each input (`TensorSpec.name`) to an array of shape (n, ...) whose dtype is
            that of the input, and whose shape past the first axis is that of the input, without
            its first axis where that is 1.
        on_progress: Called with samples done and samples in all, now and then.
        most_s: Seconds after which no further sample begins, so that fewer may be answered; None to
            answer all.
        reset: Way to handle the state before each sample, of `device_agent.contract.state.WAYS`.

    Returns:
        Name of each output (`TensorSpec.name`) to an array of shape (n, ...) and its dtype.

    Raises:
        MissingConvertExtraError: The runtime is not installed.
        ConversionError: The runtime refuses the file, fails on it, crashes on it, or is at work on
            one sample for more than `LONGEST_SAMPLE_S`.
    """
    with tempfile.TemporaryDirectory(prefix="kedge-") as folder:
        _save(Path(folder) / "inputs", inputs)
        command = [sys.executable, "-m", "converters.isolated_run", function, str(path.resolve())]
        command += [str(os.getpid()), folder, reset, *([] if most_s is None else [str(most_s)])]
        with (Path(folder) / "log").open("w+b") as log:
            pipe = subprocess.PIPE
            child = subprocess.Popen(
                command, cwd=_OURS, stdout=pipe, stderr=log, start_new_session=True
            )
            try:
                is_in_time = _follow(child, on_progress)
            finally:
                child.kill()
                child.wait()
            log.seek(0)
            said = log.read().decode("utf-8", "replace")
        if not is_in_time:
            raise endless_sample(str(path), LONGEST_SAMPLE_S)
        if child.returncode != 0:
            raise _failure(path, child.returncode, said)
        return _load(Path(folder) / "outputs")


def _follow(child: subprocess.Popen[bytes], on_progress: Callable[[int, int], None] | None) -> bool:
    """Report progress until the process ends; return whether each sample was answered in time."""
    assert child.stdout is not None
    unread = b""
    with child.stdout as pipe:
        while select.select([pipe], [], [], LONGEST_SAMPLE_S)[0]:
            data = os.read(pipe.fileno(), _READ_BYTES)
            if not data:
                with suppress(subprocess.TimeoutExpired):
                    child.wait(LONGEST_SAMPLE_S)
                return child.returncode is not None
            *lines, unread = (unread + data).split(b"\n")
            for line in lines:
                done, total = line.split()
                if on_progress is not None:
                    on_progress(int(done), int(total))
    return False


def _failure(path: Path, returncode: int, said: str) -> ConversionError:
    if returncode in (_REFUSED, _MISSING):
        message, _, hint = said.strip().partition("\0")
        kind = ConversionError if returncode == _REFUSED else MissingConvertExtraError
        return kind(message, hint)
    name = signal.Signals(-returncode).name if returncode < 0 else f"exit {returncode}"
    return ConversionError(
        f"{path}: the runtime crashed on it on this host ({name}) {said.strip()[-500:]}",
        "The file is damaged, or uses an operator in a way that the runtime does not expect.",
    )


def _save(folder: Path, tensors: Mapping[str, Array]) -> None:
    """One file a tensor, its name beside it: a tensor's name may be no file name."""
    folder.mkdir()
    for position, (name, values) in enumerate(tensors.items()):
        np.save(folder / f"{position}.npy", values, allow_pickle=False)
        (folder / f"{position}.name").write_bytes(name.encode())  # also with an end of a line


def _load(folder: Path, mmap_mode: Literal["r"] | None = None) -> dict[str, Array]:
    names = sorted(folder.glob("*.name"), key=lambda path: int(path.stem))
    files = {name.read_bytes().decode(): name.with_suffix(".npy") for name in names}
    return {name: np.load(file, mmap_mode, allow_pickle=False) for name, file in files.items()}


def _main(function: str, path: Path, folder: Path, reset: str, most_s: float | None) -> int:
    def report(done: int, total: int) -> None:
        sys.stdout.write(f"{done} {total}\n")
        sys.stdout.flush()

    try:
        inputs = _load(folder / "inputs", "r")
        module, _, name = function.partition(":")
        run_model = getattr(import_module(module), name)
        outputs = run_model(path, inputs, on_progress=report, most_s=most_s, reset=reset)
    except ConversionError as error:
        sys.stderr.write(f"{error}\0{error.hint}")
        return _MISSING if isinstance(error, MissingConvertExtraError) else _REFUSED
    _save(folder / "outputs", outputs)
    return 0


if __name__ == "__main__":
    end_with_parent(int(sys.argv[3]))
    most = float(sys.argv[6]) if len(sys.argv) > 6 else None
    sys.exit(_main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[4]), sys.argv[5], most))
