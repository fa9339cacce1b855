"""The process with TensorFlow, as its parent sees it.

It answers on a pipe that its libraries do not know of, one JSON object a line. A child that stays
takes one order after the other: it loads TensorFlow once, and does each order in a fork of itself,
so that an order leaves nothing behind, and a crash ends that order alone.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from converters.data.task import TaskError
from converters.errors import (
    ConversionError,
    HostDiskError,
    LayerOutsideGraphError,
    MissingConvertExtraError,
)
from converters.evidence.model_toml import ModelTomlError
from converters.measure import MEASURE, Measure, answer_measure
from converters.out_folder import FolderInUseError
from converters.progress import Progress, Report
from converters.recipe.recipe import RecipeError
from converters.request import ConversionRequest
from converters.sandbox import SANDBOX_VARIABLE, Sandbox
from converters.workers import WorkerDoneError

_LOG = logging.getLogger(__name__)

#: Argument of a child that stays.
STAY = "--stay"
#: Event by which a child that stays reports that the fork of an order has ended.
ENDED = "ended"

#: Errors that a child may answer; raised in the parent as what they were.
_ERRORS: dict[str, type[ConversionError]] = {
    error.__name__: error
    for error in (
        ConversionError,
        FolderInUseError,
        HostDiskError,
        LayerOutsideGraphError,
        MissingConvertExtraError,
        ModelTomlError,
        RecipeError,
        TaskError,
        WorkerDoneError,
    )
}

_LOG_TAIL_BYTES = 4_000
#: Lines that TensorFlow prints at every start.
_CHATTER = re.compile(r"[IW]\d{4} |WARNING: All log messages before absl|To enable the following")
_END_SECONDS = 2.0
#: A sandbox exits with this and the number of the signal that ended the child.
_SIGNAL_BASE = 128


class ConversionBugError(RuntimeError):
    """The child failed in a way that nobody foresaw: a bug in kedge, with the child's traceback."""


class ChildDeathError(ConversionError):
    """The child ended without an answer: the order may succeed another time."""


@dataclass(frozen=True)
class Order:
    """Work for a child."""

    task: str
    """"convert", "plan" or "judge"."""
    request: ConversionRequest
    """Request with absolute paths."""
    work: Path
    """Empty folder for the files."""
    recipes: tuple[str, ...] = ()
    """Recipes to plan, by name or path; empty for other tasks."""
    folders: tuple[str, ...] = ()
    """Folders of conversions to judge on the test samples; empty for other tasks."""

    def to_json(self, workspace: Path, measures: bool) -> str:
        """Return the order as one line of JSON.

        Args:
            workspace: Folder that the child removes when its parent is gone.
            measures: Whether the parent measures files.
        """
        return json.dumps(
            {
                "task": self.task,
                "request": self.request.to_json(),
                "work": str(self.work),
                "recipes": self.recipes,
                "folders": self.folders,
                "workspace": str(workspace),
                "measures": measures,
                "sent_at": time.monotonic(),
            }
        )


class Child:
    """A child process; started with its first order, and again after it has died."""

    def __init__(self, workspace: Path, sandbox: Sandbox, stays: bool = False) -> None:
        """Begin; nothing is started yet.

        Args:
            workspace: Existing folder for temporary files; the `work` of each order is inside it.
            sandbox: Limits of the process.
            stays: Whether it takes several orders, one after the other.
        """
        self._workspace, self._sandbox, self._stays = workspace, sandbox, stays
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
        self._process: subprocess.Popen[str] | None = None

    def do(self, order: Order, on_progress: Report, measure: Measure | None) -> dict[str, Any]:
        """Have an order done.

        Args:
            order: The order; one only, unless the child stays.
            on_progress: Called with each report of the child, in this thread.
            measure: Measures files for the child, in this thread; None where nobody does.

        Returns:
            The child's answer.

        Raises:
            ChildDeathError: The child died; a child that stays may get the next order.
            ConversionError: The child's own refusal.
            ConversionBugError: A bug in kedge.
        """
        if self._process is not None and self._process.poll() is not None:
            # What it left behind would clear the workspace of the next.
            end_process(self._process)
            self._process = None
        if self._process is None:
            self._process = start_process(self._workspace, self._log, self._sandbox, self._stays)
        log_start = self._log.seek(0, os.SEEK_END)
        line = order.to_json(self._workspace, measure is not None)
        answer, code = talk(self._process, line, on_progress, measure, self._stays)
        if code is None and (answer is None or not self._stays):
            self._process.wait()
            code = self._process.returncode
        if answer is None:
            raise _death(code or 0, self._log, log_start)
        if answer["event"] == "error":
            raise answer_error(answer)
        if answer["event"] == "bug":
            raise ConversionBugError(f"the conversion failed:\n{answer['traceback']}")
        return answer

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            end_process(self._process)
        self._log.close()


def start_process(
    workspace: Path, log: IO[bytes], sandbox: Sandbox, stays: bool
) -> subprocess.Popen[str]:
    """Start a child.

    Args:
        workspace: Folder for temporary files.
        log: File for what the child and its libraries print.
        sandbox: Limits of the process.
        stays: Whether it takes several orders.
    """
    environment = dict(
        os.environ,
        # TFMOT knows Keras 2 only; TensorFlow reads this once, at its first import.
        TF_USE_LEGACY_KERAS="1",
        KERAS_BACKEND="tensorflow",
        TF_CPP_MIN_LOG_LEVEL="3",
        # The converter's own temporary files go away with the workspace.
        TMPDIR=str(workspace),
        PYTHONUNBUFFERED="1",
    )
    environment[SANDBOX_VARIABLE] = sandbox.words
    _LOG.debug("sandbox of the conversion: %s", sandbox.words)
    return subprocess.Popen(
        [*sandbox.command, sys.executable, "-m", "converters", *([STAY] if stays else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        encoding="utf-8",
        env=environment,
        # `-m` looks in the current folder first: there must be our package, not a user's.
        cwd=Path(__file__).parent.parent,
        # Ctrl-C at the terminal reaches the parent alone, which ends the child.
        start_new_session=True,
    )


def talk(
    process: subprocess.Popen[str],
    line: str,
    on_progress: Report,
    measure: Measure | None,
    stays: bool = False,
) -> tuple[dict[str, Any] | None, int | None]:
    """Hand over an order and follow the progress.

    Args:
        process: Child that waits for an order.
        line: The order.
        on_progress: Called with each report.
        measure: Measures files; None where nobody does.
        stays: Whether the child reports the end of its fork behind the answer.

    Returns:
        The answer, or None if there was none; and the exit code of the fork of a child that stays,
        or None where the child closed its pipe.
    """
    assert process.stdout is not None
    answer: dict[str, Any] | None = None
    _say(process, line + "\n")
    for reply in process.stdout:
        event = _event(reply)
        kind = event.get("event")
        if kind == MEASURE:
            _say(process, answer_measure(event, measure))
        elif kind == "progress":
            del event["event"]
            on_progress(Progress(**event))
        elif kind == ENDED:
            return answer, int(event["code"])
        elif kind is not None:
            answer = event
            if not stays:
                break
    return answer, None


def _event(reply: str) -> dict[str, Any]:
    """One reply; empty where it was cut off by the death of the fork that wrote it."""
    try:
        event = json.loads(reply)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def _say(process: subprocess.Popen[str], line: str) -> None:
    """Write a line. The pipe stays open afterwards: its end tells the child that we are gone."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(line)
        process.stdin.flush()


def end_process(process: subprocess.Popen[str]) -> None:
    """End the child's whole process group, and wait for the child.

    A fork whose child has died ends with the pipe.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None and process.returncode >= 0:
            break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def _death(code: int, log: IO[bytes], log_start: int) -> ChildDeathError:
    log.seek(max(log_start, log.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
    lines = log.read().decode("utf-8", "replace").splitlines()
    tail = "\n".join(line for line in lines if not _CHATTER.match(line)).strip()
    last_words = f"; its last words:\n{tail}" if tail else ""
    if code > _SIGNAL_BASE:
        code = _SIGNAL_BASE - code
    if code < 0:
        name = signal.Signals(-code).name
        hint = "Report this with the model, or try another recipe."
        if name == "SIGKILL":
            hint = "Most likely the memory ran out: use less data, or a machine with more memory."
        if name == "SIGALRM":  # of `converters.training.parallel`
            hint = "Another worker ended while they came together: start again on every worker."
        return ChildDeathError(f"the conversion process was ended by {name}{last_words}", hint)
    return ChildDeathError(
        f"the conversion process ended with {code} and no answer{last_words}",
        "Run it again; if it fails again, report it.",
    )


def answer_error(answer: dict[str, Any]) -> ConversionError:
    """Return the error that a child answered."""
    error = _ERRORS.get(answer["type"], ConversionError)(answer["message"], answer["hint"])
    error.exit_code = answer["exit_code"]
    return error
