"""`convert` in a process that stays: the file is the same, and TensorFlow loads once.

Loading it takes longer than most conversions of the tests. That a conversion has a process of its
own, and what follows from that, is asked of `converters.process.convert` itself.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, Any
from unittest import mock

from converters import __main__ as program
from converters import child as child_module
from converters import process
from converters.errors import ConversionError
from converters.evidence.conversion import Conversion
from converters.measure import Measure, measure_in_parent
from converters.progress import Report, ignore
from converters.request import ConversionRequest
from converters.sandbox import Sandbox

#: TensorFlow keeps something of every model that it has seen: so many, then a new process.
_MOST = 25


class _Staying:
    """A child that takes one order after the other, where `process` expects one for each."""

    def __init__(self) -> None:
        self.orders = 0
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the child
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.converters.warm"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            encoding="utf-8",
            env={
                **os.environ,
                "TF_USE_LEGACY_KERAS": "1",
                "KERAS_BACKEND": "tensorflow",
                "TF_CPP_MIN_LOG_LEVEL": "3",
            },
            cwd=Path(__file__).parents[2],
        )
        self.stdin, self.stdout = self._child.stdin, self._child.stdout

    @property
    def returncode(self) -> int | None:
        return self._child.returncode

    def poll(self) -> int | None:
        """None while it runs."""
        return self._child.poll()

    def wait(self) -> None:
        """It has answered; only a crash ends it."""
        if self._child.poll() is not None:
            self._log.seek(0)
            words = self._log.read()[-4000:].decode("utf-8", "replace")
            raise AssertionError(f"the child ended with {self._child.returncode}: {words}")

    def end(self) -> None:
        with self._child, self._log:
            self._child.kill()


_children: list[_Staying] = []


def convert(
    request: ConversionRequest,
    on_progress: Report = ignore,
    measure: Measure | None = None,
    latency_decides: bool = True,
) -> Conversion:
    """As `converters.process.convert`."""
    with (
        mock.patch.object(child_module, "start_process", _start),
        mock.patch.object(child_module, "end_process", lambda child: None),
    ):
        try:
            return process.convert(request, on_progress, measure, latency_decides)
        except ConversionError:
            raise
        except BaseException:  # it may still be at work, for nobody
            end()
            raise


def _start(work: Path, log: IO[bytes], sandbox: Sandbox, stays: bool) -> Any:
    if _children and _children[0].orders == _MOST:
        end()
    if not _children:
        _children.append(_Staying())
    _children[0].orders += 1
    return _children[0]


@atexit.register
def end() -> None:
    """End the process, if there is one."""
    while _children:
        _children.pop().end()


def main() -> None:
    """The child: answers each order as `python -m converters` answers its only one."""
    answer = program._answers()
    said: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(said,), daemon=True).start()
    import keras
    import tf_keras

    while True:
        order = said.get()
        tempfile.tempdir = os.environ["TMPDIR"] = order["work"]
        measure = measure_in_parent(answer, said) if order["measures"] else None
        ended = program._outcome(order, answer, measure)
        tf_keras.backend.clear_session()
        keras.utils.clear_session()
        answer(ended)


def _listen(said: queue.SimpleQueue[dict[str, Any]]) -> None:
    for line in sys.stdin:
        said.put(json.loads(line))
    os._exit(0)


if __name__ == "__main__":
    main()
