"""Runs a conversion in a child process of its own, so that nobody else ever loads TensorFlow.

The child answers on a pipe that its libraries do not know of, one JSON object a line. It writes
into a hidden folder inside `out`; what is whole is moved out of it at the end, and the folder goes
away whatever happens, Ctrl-C included.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from converters import durable
from converters.data.task import TaskError
from converters.data.user_function import user_function_at
from converters.errors import ConversionError, HostDiskError, MissingConvertExtraError
from converters.evidence.conversion import (
    CONVERSION_NAME,
    GOLDEN_NAME,
    KERAS_NAME,
    MODEL_NAME,
    Conversion,
    read_conversion,
)
from converters.evidence.model_toml import MODEL_TOML, NEW_MODEL_TOML
from converters.measure import MEASURE, Measure, answer_measure
from converters.progress import Progress, Report, ignore
from converters.recipe.recipe import Recipe, RecipeError, check_pairing, load_recipe
from converters.request import IMAGE_RANGES, ConversionRequest
from converters.sandbox import SANDBOX_VARIABLE, Sandbox, sandbox_around
from converters.sources.kinds import MODEL_SUFFIXES, identify
from converters.work.plan import Plan
from converters.workers import WorkerDoneError, check_together, worker_of

#: Modules of the extra `convert`; looked for, never imported in this process.
_EXTRA_MODULES = (
    "tensorflow",
    "tf_keras",
    "tensorflow_model_optimization",
    "ai_edge_quantizer",
    "PIL",
)

#: Errors that a child may answer; raised in the parent as what they were.
_ERRORS: dict[str, type[ConversionError]] = {
    error.__name__: error
    for error in (ConversionError, HostDiskError, MissingConvertExtraError, RecipeError, TaskError)
}

#: Beginning of the name of a conversion's own folder, and age of one that nobody uses any more.
_WORK_PREFIX, _STALE_S = ".kedge-", 60.0
_LOG_TAIL_BYTES = 4_000
_END_SECONDS = 2.0
#: A sandbox exits with this and the number of the signal that ended the child.
_SIGNAL_BASE = 128


class ConversionBugError(RuntimeError):
    """The child failed in a way that nobody foresaw: a bug in kedge, with the child's traceback."""


def convert(
    request: ConversionRequest,
    on_progress: Report = ignore,
    measure: Measure | None = None,
    latency_decides: bool = True,
) -> Conversion:
    """Convert a model: check what is cheap to check, then do it in a child process.

    Args:
        request: Model, data, recipe and folder; relative paths start from the current folder.
        on_progress: Called with each report of the child, in this thread.
        measure: Called, in this thread, when a step has files measured; its errors that have a
            `hint` become the child's.
        latency_decides: Whether every step may go by latency. With False only the steps whose
            fields name latency do, for latency that was not measured on the board.

    Returns:
        The conversion, whose files are whole and on the disk.

    Raises:
        RecipeError: The recipe is unknown or a field of it is.
        MissingConvertExtraError: kedge was installed without TensorFlow.
        WorkerDoneError: All is well; another worker writes the results.
        HostDiskError: This computer's disk is full or read-only.
        ConversionError: The model or the data does not fit; the message names what and where.
        ConversionBugError: A bug in kedge.
    """
    request = request.absolute()
    recipe = check_request(request)
    if not (latency_decides or recipe.asks_latency):
        measure = None
    with _workspace(request.out) as work:
        sandbox = _sandbox(request, recipe, work)
        _run_child("convert", request, work, sandbox, on_progress, measure)
        worker = worker_of(os.environ)
        if worker is not None and not worker.leads:
            raise WorkerDoneError(
                f"{worker} has done its part; {worker.addresses[0]} writes the results"
            )
        optional = (KERAS_NAME, MODEL_TOML, NEW_MODEL_TOML)
        extras = [name for name in optional if (work / name).is_file()]
        if KERAS_NAME not in extras:  # of an earlier conversion: it is not of this file
            with durable.translate_errors(request.out):
                (request.out / KERAS_NAME).unlink(missing_ok=True)
        durable.publish(work, request.out, (*extras, GOLDEN_NAME, MODEL_NAME, CONVERSION_NAME))
    return read_conversion(request.out)


def plan(request: ConversionRequest, on_progress: Report = ignore) -> Plan:
    """Say what a conversion would do and about how long it would take; writes nothing.

    Args:
        request: Model, data and recipe; relative paths start from the current folder.
        on_progress: Called with each report of the child, in this thread.

    Raises:
        RecipeError: The recipe is unknown or a field of it is.
        MissingConvertExtraError: kedge was installed without TensorFlow.
        ConversionError: The model or the data does not fit; the message names what and where.
        ConversionBugError: A bug in kedge.
    """
    request = request.absolute()
    recipe = check_request(request)
    with tempfile.TemporaryDirectory(prefix="kedge-") as folder:
        work = Path(folder)
        sandbox = _sandbox(replace(request, cache=None, logs=None), recipe, work)
        answer = _run_child("plan", request, work, sandbox, on_progress)
    return Plan.from_plain(answer["plan"])


def check_request(request: ConversionRequest) -> Recipe:
    """Refuse what can be seen to fail before TensorFlow is started.

    Args:
        request: A request with absolute paths.

    Returns:
        Its recipe.

    Raises:
        RecipeError: The recipe is unknown or a field of it is.
        MissingConvertExtraError: kedge was installed without TensorFlow.
        ConversionError: A file is missing, or a value is impossible.
    """
    recipe = load_recipe(request.recipe)
    tries = request.max_drop is not None
    check_together(worker_of(os.environ), tries, recipe.asks_latency)
    for name, path in (("model", request.model), ("data", request.data)):
        if name == "model" or user_function_at(path) is None:
            _check_readable(name, path)
    if request.data.suffix in MODEL_SUFFIXES:
        raise ConversionError(
            f"data {request.data}: is a model by its name",
            "Give the model first and the data with --data.",
        )
    if request.image_range not in IMAGE_RANGES:
        raise ConversionError(
            f"image range is {request.image_range!r}", f"Use one of {', '.join(IMAGE_RANGES)}"
        )
    if request.max_drop is not None and not 0 <= request.max_drop < 1:
        raise ConversionError(f"max drop is {request.max_drop}", "Use a share such as 0.01")
    if request.seed < 0:
        raise ConversionError(f"seed is {request.seed}", "Use 0 or more.")
    if os.path.exists(request.out) and not request.out.is_dir():  # noqa: PTH110 - never raises
        raise ConversionError(f"{request.out}: is a file, not a folder", "Choose another --out.")
    missing = [name for name in _EXTRA_MODULES if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingConvertExtraError(
            f"a conversion needs {', '.join(missing)}, which is not installed",
            "In a clone of kedge: pip install '.[convert]'",
        )
    if request.logs is not None and importlib.util.find_spec("tensorboard") is None:
        raise MissingConvertExtraError(
            "figures for TensorBoard need tensorboard, which is not installed",
            "In a clone of kedge: pip install '.[tensorboard]'",
        )
    check_pairing(recipe, request.model, identify(request.model).kind)
    return recipe


def _check_readable(name: str, path: Path) -> None:
    try:
        path.stat()
    except FileNotFoundError as error:
        raise ConversionError(f"{name} {path}: not found", "Check the path.") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConversionError(f"{name} {path}: cannot be reached: {reason}", "Check it.") from error
    if not os.access(path, os.R_OK):
        raise ConversionError(f"{name} {path}: may not be read", "Check its rights.")


@contextlib.contextmanager
def _workspace(out: Path) -> Iterator[Path]:
    """A hidden folder inside `out`; gone at the end, and `out` too if we made it for nothing."""
    is_new = not os.path.exists(out)  # noqa: PTH110 - unlike Path.exists(), it never raises
    with durable.translate_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        _remove_remains(out)
        work = Path(tempfile.mkdtemp(prefix=_WORK_PREFIX, dir=out))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        if is_new:
            with contextlib.suppress(OSError):
                out.rmdir()


def _remove_remains(out: Path) -> None:
    """Remove empty folders of conversions that were killed; a sandbox cannot remove its own."""
    for folder in out.glob(_WORK_PREFIX + "*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > _STALE_S:
                folder.rmdir()


def _sandbox(request: ConversionRequest, recipe: Recipe, work: Path) -> Sandbox:
    """The sandbox of a conversion, which writes into its own folders only.

    What the user named as `module:function` may do whatever the user may.
    """
    if recipe.wish.functions() or user_function_at(request.data) is not None:
        return Sandbox("none: the conversion runs functions that the user named")
    if worker_of(os.environ) is not None:
        return Sandbox("none: several machines train together")
    folders = [work]
    for folder in (request.cache, request.logs):
        # Where it cannot be made, the process says so.
        with contextlib.suppress(OSError):
            if folder is not None:
                folder.mkdir(0o700, parents=True, exist_ok=True)
                folders.append(folder)
    return sandbox_around(folders)


def _run_child(
    task: str,
    request: ConversionRequest,
    work: Path,
    sandbox: Sandbox,
    on_progress: Report,
    measure: Measure | None = None,
) -> dict[str, Any]:
    with tempfile.TemporaryFile() as log:
        child = _start(work, log, sandbox)
        try:
            order = {
                "task": task,
                "request": request.to_json(),
                "work": str(work),
                "measures": measure is not None,
            }
            answer = _talk(child, order, on_progress, measure)
            child.wait()
        finally:
            _end(child)
        if answer is None:
            raise _death(child.returncode, log)
    if answer["event"] == "error":
        raise _error_of(answer)
    if answer["event"] == "bug":
        raise ConversionBugError(f"the conversion failed:\n{answer['traceback']}")
    return answer


def _start(work: Path, log: IO[bytes], sandbox: Sandbox) -> subprocess.Popen[str]:
    environment = dict(
        os.environ,
        # TFMOT knows Keras 2 only; TensorFlow reads this once, at its first import.
        TF_USE_LEGACY_KERAS="1",
        KERAS_BACKEND="tensorflow",
        TF_CPP_MIN_LOG_LEVEL="3",
        # The converter's own temporary files go away with the workspace.
        TMPDIR=str(work),
        PYTHONUNBUFFERED="1",
    )
    environment[SANDBOX_VARIABLE] = sandbox.words
    return subprocess.Popen(
        [*sandbox.command, sys.executable, "-m", "converters"],
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


def _talk(
    child: subprocess.Popen[str],
    order: dict[str, Any],
    on_progress: Report,
    measure: Measure | None,
) -> dict[str, Any] | None:
    """Hand over the order, follow the progress; the last answer, or None if there was none."""
    assert child.stdout is not None
    _say(child, json.dumps(order) + "\n")
    for line in child.stdout:
        event: dict[str, Any] = json.loads(line)
        if event["event"] == MEASURE:
            _say(child, answer_measure(event, measure))
        elif event["event"] == "progress":
            on_progress(
                Progress(event["stage"], event["done"], event["total"], event.get("detail", ""))
            )
        else:
            return event
    return None


def _say(child: subprocess.Popen[str], line: str) -> None:
    """The pipe stays open afterwards: its end tells the child that its parent is gone."""
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        child.stdin.write(line)
        child.stdin.flush()


def _end(child: subprocess.Popen[str]) -> None:
    """End the child's whole process group, and wait for it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if child.poll() is not None and child.returncode >= 0:
            break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_END_SECONDS)
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def _death(returncode: int, log: IO[bytes]) -> ConversionError:
    log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
    tail = log.read().decode("utf-8", "replace").strip()
    last_words = f"; its last words:\n{tail}" if tail else ""
    if returncode > _SIGNAL_BASE:
        returncode = _SIGNAL_BASE - returncode
    if returncode < 0:
        name = signal.Signals(-returncode).name
        hint = "Report this with the model, or try another recipe."
        if name == "SIGKILL":
            hint = "Most likely the memory ran out: use less data, or a machine with more memory."
        if name == "SIGALRM":  # of `converters.training.parallel`
            hint = "Another worker ended while they came together: start again on every worker."
        return ConversionError(f"the conversion process was ended by {name}{last_words}", hint)
    return ConversionError(
        f"the conversion process ended with {returncode} and no answer{last_words}",
        "Run it again; if it fails again, report it.",
    )


def _error_of(answer: dict[str, Any]) -> ConversionError:
    error = _ERRORS.get(answer["type"], ConversionError)(answer["message"], answer["hint"])
    error.exit_code = answer["exit_code"]
    return error
