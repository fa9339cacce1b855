"""Runs conversions in a child process, so that nobody else ever loads TensorFlow.

The child writes into a hidden folder inside `out`; what is whole is moved out of it at the end, and
the folder goes away whatever happens, Ctrl-C included.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from converters import durable
from converters.child import Child, Order
from converters.data.task import TaskWish
from converters.data.user_function import user_function_at
from converters.evidence.conversion import (
    CONVERSION_NAME,
    GOLDEN_NAME,
    KERAS_NAME,
    MODEL_NAME,
    Conversion,
    read_conversion,
)
from converters.evidence.model_toml import MODEL_TOML, NEW_MODEL_TOML
from converters.evidence.other_file import EDGETPU_EVIDENCE, EDGETPU_NAME, OTHER_NAMES
from converters.measure import Measure
from converters.out_folder import hold_folder, replace_together
from converters.progress import Progress, Report, ignore
from converters.recipe.recipe import Recipe, load_recipe
from converters.request import ConversionRequest
from converters.request_checks import check_data_of, check_inputs, check_request
from converters.sandbox import Sandbox, sandbox_around
from converters.sources.kinds import identify
from converters.work.plan import Plan
from converters.work.reuse import earlier_conversion
from converters.workers import WorkerDoneError, worker_of
from converters.workspace import make_workspace


def convert(
    request: ConversionRequest,
    on_progress: Report = ignore,
    measure: Measure | None = None,
    latency_decides: bool = True,
) -> Conversion:
    """Convert a model: check what is cheap to check, then do it in a child process.

    A conversion that is there already, of an equal request and with every file whole, is read.

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
        FolderInUseError: Another conversion writes into the folder.
        ConversionError: The model or the data does not fit; the message names what and where.
        ConversionBugError: A bug in kedge.
    """
    request = request.absolute()
    recipe = check_request(request)
    earlier = earlier_conversion(request, recipe)
    if earlier is not None:
        on_progress(Progress("converted already", 1, 1))
        return earlier
    worker = worker_of(os.environ)
    # Workers of one computer may share the folder; one of them writes.
    is_writer = worker is None or worker.leads
    hold = hold_folder(request.out) if is_writer else contextlib.nullcontext()
    with hold, Converter(request.out) as converter:
        return converter.convert(request, recipe, on_progress, measure, latency_decides)


def find_conversion(request: ConversionRequest) -> Conversion | None:
    """Return the conversion that `convert` would read instead of repeating it; None for none.

    Args:
        request: Model, data, recipe and folder; relative paths start from the current folder.

    Raises:
        RecipeError: The recipe is unknown or a field of it is.
        MissingConvertExtraError: kedge was installed without TensorFlow.
        ConversionError: A file is missing, or a value is impossible.
    """
    request = request.absolute()
    return earlier_conversion(request, check_request(request))


def plan(
    request: ConversionRequest, names: Sequence[str] = (), on_progress: Report = ignore
) -> tuple[Plan, ...]:
    """Say what conversions would do and about how long they would take; writes nothing.

    Args:
        request: Model, data and recipe; relative paths start from the current folder.
        names: Recipes, by name or path, in place of that of the request; empty for that one.
        on_progress: Called with each report of the child, in this thread.

    Returns:
        A plan for each recipe, in order.

    Raises:
        RecipeError: A recipe is unknown or a field of it is.
        MissingConvertExtraError: kedge was installed without TensorFlow.
        ConversionError: The model or the data does not fit; the message names what and where.
        ConversionBugError: A bug in kedge.
    """
    request = request.absolute()
    requests = [replace(request, recipe=name).absolute() for name in names or (request.recipe,)]
    recipes = tuple(each.recipe for each in requests)
    loaded = [load_recipe(name) for name in recipes]
    if len(recipes) == 1:
        check_request(requests[0])
    else:
        check_inputs(request)
        if not all(recipe.wish.plain() for recipe in loaded):
            check_data_of(request, TaskWish(), identify(request.model))
    with tempfile.TemporaryDirectory(prefix="kedge-") as folder:
        work, alone = Path(folder), replace(request, cache=None, logs=None)
        freest = next((recipe for recipe in loaded if recipe.wish.functions()), loaded[0])
        with contextlib.closing(Child(work, sandbox_of(alone, freest, work))) as child:
            answer = child.do(Order("plan", request, work, recipes), on_progress, None)
    return tuple(map(Plan.from_plain, answer["plans"]))


class Converter:
    """Converts by one recipe or several: one child and one hidden folder for all of them."""

    def __init__(self, out: Path, several: bool = False) -> None:
        """Begin; nothing is written or started before the first conversion.

        Args:
            out: Folder for the hidden folder, absolute; the results are in it or below it.
            several: Whether several conversions follow.
        """
        self._out, self._several = out, several
        self._open = contextlib.ExitStack()
        self._workspace: Path | None = None
        #: One in a sandbox, and one for recipes with functions of the user's.
        self._children: dict[bool, Child] = {}
        self._count = 0

    def __enter__(self) -> Converter:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def convert(
        self,
        request: ConversionRequest,
        recipe: Recipe,
        on_progress: Report = ignore,
        measure: Measure | None = None,
        latency_decides: bool = True,
    ) -> Conversion:
        """Convert a model that was checked; the arguments are those of the function `convert`.

        Args:
            request: Request with absolute paths.
            recipe: Its recipe.
            on_progress: Called with each report of the child, in this thread.
            measure: Measures files for steps that go by latency.
            latency_decides: Whether every step may go by latency.

        Raises:
            WorkerDoneError: All is well; another worker writes the results.
            HostDiskError: This computer's disk is full or read-only.
            ChildDeathError: The child crashed; another conversion starts a new one.
            ConversionError: The model or the data does not fit; the message names what and where.
            ConversionBugError: A bug in kedge.
        """
        if not (latency_decides or recipe.asks_latency):
            measure = None
        child, work = self._begin(request, recipe)
        with self._hold(request.out):
            child.do(Order("convert", request, work), on_progress, measure)
            worker = worker_of(os.environ)
            if worker is not None and not worker.leads:
                raise WorkerDoneError(
                    f"{worker} has done its part; {worker.addresses[0]} writes the results"
                )
            _publish(work, request.out)
            return read_conversion(request.out)

    def _hold(self, out: Path) -> contextlib.AbstractContextManager[None]:
        """Keep others out of the folder of one of several conversions."""
        return contextlib.nullcontext() if out == self._out else hold_folder(out)

    def _begin(self, request: ConversionRequest, recipe: Recipe) -> tuple[Child, Path]:
        """Return a child, and an empty folder for the files of one conversion."""
        if self._workspace is None:
            self._workspace = self._open.enter_context(make_workspace(self._out))
        is_free = bool(recipe.wish.functions())
        if is_free not in self._children:
            sandbox = sandbox_of(request, recipe, self._workspace)
            child = Child(self._workspace, sandbox, stays=self._several)
            self._children[is_free] = self._open.enter_context(contextlib.closing(child))
        self._count += 1
        work = self._workspace / str(self._count) if self._several else self._workspace
        with durable.translate_errors(work):
            work.mkdir(exist_ok=True)
        return self._children[is_free], work


def _publish(work: Path, out: Path) -> None:
    models = (*OTHER_NAMES, MODEL_NAME)
    optional = (KERAS_NAME, MODEL_TOML, NEW_MODEL_TOML, *models)
    names = [name for name in optional if (work / name).is_file()]
    with durable.translate_errors(out), replace_together(out):
        for name in {KERAS_NAME, EDGETPU_NAME, EDGETPU_EVIDENCE, *models}.difference(names):
            (out / name).unlink(missing_ok=True)  # of an earlier conversion: it is not of this one
        durable.publish(work, out, (*names, GOLDEN_NAME, CONVERSION_NAME))


def sandbox_of(request: ConversionRequest, recipe: Recipe, work: Path) -> Sandbox:
    """Return the sandbox of a conversion, which writes into its own folders only.

    What the user named as `module:function` may do whatever the user may.

    Args:
        request: The request.
        recipe: Its recipe.
        work: Folder of the child.
    """
    by_function = any(map(user_function_at, (request.model, request.data)))
    if recipe.wish.functions() or by_function:
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
