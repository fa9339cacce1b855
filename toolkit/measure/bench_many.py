"""Measures one model on many boards at once; none waits for another, none stops another."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from converters.errors import ConversionError
from converters.formats import read_model_file
from device_agent.contract.codes import IntegrityError
from targets.errors import TargetError
from targets.inventory import Target
from targets.progress import OnProgress, no_progress
from toolkit.errors import ToolkitError
from toolkit.measure.bench import BenchSettings, Measurement, bench

#: Boards that are measured at the same time; the work is theirs, the host only waits.
_AT_ONCE = 32

#: Errors of a single board.
BoardFailure = ConversionError | IntegrityError | TargetError | ToolkitError


class BoardBugError(ToolkitError):
    """A bug of kedge that one of several boards has run into; the results of the others stay."""

    exit_code = 1

    def __init__(self, error: Exception) -> None:
        super().__init__(
            f"{type(error).__name__}: {error}",
            "This is a bug in kedge. Please report it with the lines above.",
        )
        self.traceback = "".join(traceback.format_exception(error))
        """Traceback of the bug."""


class BoardInterruptedError(ToolkitError):
    """A person ended the command before this board was measured; the results of others stay."""

    exit_code = 130

    def __init__(self) -> None:
        super().__init__("interrupted before it was measured", "Measure it again.")


@dataclass(frozen=True)
class Outcome:
    """Measurement of one board, or the error that it ended with."""

    target: str
    measurement: Measurement | None
    error: BoardFailure | None
    """Error of the board; `None` where there is a measurement."""


def bench_many(
    model: Path,
    targets: Sequence[Target],
    settings: BenchSettings | None = None,
    on_progress: OnProgress = no_progress,
) -> list[Outcome]:
    """Measure a model file on several targets at once.

    Args:
        model: Model file; held-out inputs beside it (`golden.npz`) are used.
        targets: Boards, each once.
        settings: Threads, duration and the like.
        on_progress: Called from several threads, each with its target's name.

    Returns:
        Outcome of each target, in their order. If a person interrupts, boards that are measured by
        then keep their measurement.

    Raises:
        ConversionError: The file is no whole model file.
    """
    read_model_file(model)
    if len(targets) == 1:  # in this thread, where Ctrl-C ends it in good order
        return [_bench_one(model, targets[0], settings, on_progress)]
    outcomes: dict[str, Outcome] = {}
    places = threading.Semaphore(_AT_ONCE)

    def work(target: Target) -> None:
        def show(what: str, done: int, total: int) -> None:
            on_progress(f"{target.name}: {what}", done, total)

        with places:
            try:
                outcome = _bench_one(model, target, settings, show)
                outcomes[target.name] = outcome
                show("failed" if outcome.error else "done", 1, 1)
            except Exception as error:
                outcomes[target.name] = Outcome(target.name, None, BoardBugError(error))

    # Daemons, so that Ctrl-C need not wait for a board: its agent ends when the connection does.
    threads = [threading.Thread(target=work, args=(target,), daemon=True) for target in targets]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        if not any(outcome.measurement for outcome in [*outcomes.values()]):
            raise
    return [
        outcomes.get(target.name) or Outcome(target.name, None, BoardInterruptedError())
        for target in targets
    ]


def _bench_one(
    model: Path, target: Target, settings: BenchSettings | None, on_progress: OnProgress
) -> Outcome:
    try:
        return Outcome(target.name, bench(model, target, settings, on_progress), None)
    except (ConversionError, IntegrityError, TargetError, ToolkitError) as error:
        return Outcome(target.name, None, error)
