"""Measures files on a board for a conversion: the `Measure` of `converters.measure`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from converters.errors import ConversionError
from converters.formats import read_model_file
from converters.measure import Figure, FileFigures, FileRefusal, Measure
from device_agent.contract.codes import CHILD_DIED, CHILD_TIMEOUT, MODEL_REFUSED
from device_agent.contract.facts import Facts
from targets.agent_client import AgentError
from targets.board_run import BoardRun
from targets.device import Device
from targets.inventory import Target
from targets.place import THIS_COMPUTER
from targets.progress import OnProgress, no_progress
from targets.staged_file import StagedFile
from toolkit.admission import admit
from toolkit.judge.energy import energy_of
from toolkit.judge.statistics import PROCESSES, latency, median_interval
from toolkit.judge.verdict import judge_runs
from toolkit.measure.compare import draw_order
from toolkit.measure.ready import open_board, ready
from toolkit.measure.rows import one_process

#: One process of one file: short, as a conversion has many files measured, and a search often.
PROCESS_S = 0.2

#: Codes by which the agent refuses one file; all other codes concern every file.
_CODES_OF_A_FILE = (MODEL_REFUSED, CHILD_DIED, CHILD_TIMEOUT)


def measure_on(target: Target = THIS_COMPUTER, on_progress: OnProgress = no_progress) -> Measure:
    """Return what measures files on a target: one thread, fresh processes, all files in turn.

    The target is connected anew for each measurement, so that a conversion of hours does not hold
    a board that others wait for.

    Args:
        target: Board.
        on_progress: Called as it goes on.

    Returns:
        A `Measure`. A file that is no model, that the target's runtime cannot load or that ends its
        process is refused, and the others are measured. It raises TargetError or AgentError as
        `toolkit.measure.bench.bench` does.
    """

    def measure(paths: Sequence[Path]) -> list[FileFigures | FileRefusal]:
        refusals: dict[int, FileRefusal] = {}
        models = {}
        for number, path in enumerate(paths):
            with _refuse_file(refusals, number):
                models[number] = read_model_file(path)
        if not models:
            return [refusals[number] for number in range(len(paths))]
        runs: dict[int, list[BoardRun]] = {}
        with open_board(target, on_progress) as device:
            facts = device.facts
            for number, model in models.items():
                with _refuse_file(refusals, number):
                    admit(model, device)
            admitted = {n: model for n, model in models.items() if n not in refusals}
            if admitted:
                board = ready(device, list(admitted.values()), None, on_progress)
                staged = dict(zip(admitted, board.staged, strict=True))
                runs = _run_in_turn(device, staged, refusals, on_progress)
        return [
            refusals[number] if number in refusals else _figures(facts, runs[number])
            for number in range(len(paths))
        ]

    return measure


@contextmanager
def _refuse_file(refusals: dict[int, FileRefusal], number: int) -> Iterator[None]:
    """Note an error that concerns one file; let all others through."""
    try:
        yield
    except (ConversionError, AgentError) as error:
        if isinstance(error, AgentError) and error.code not in _CODES_OF_A_FILE:
            raise
        refusals[number] = FileRefusal(str(error), error.hint, error.exit_code)


def _run_in_turn(
    device: Device,
    staged: Mapping[int, StagedFile],
    refusals: dict[int, FileRefusal],
    on_progress: OnProgress,
) -> dict[int, list[BoardRun]]:
    """Run fresh processes of all files in turn; a file that is refused is run no more."""
    one, numbers = one_process(1, PROCESS_S), list(staged)
    runs: dict[int, list[BoardRun]] = {number: [] for number in numbers}
    order = draw_order(len(numbers), PROCESSES, one.seed)
    for done, arm in enumerate(order):
        on_progress("measure in turn", done, len(order))
        number = numbers[arm]
        if number not in refusals:
            with _refuse_file(refusals, number):
                runs[number].append(device.jobs.benchmark(staged[number], one))
    return runs


def _figures(facts: Facts, runs: Sequence[BoardRun]) -> FileFigures:
    time = latency([run.samples_ns for run in runs])
    verdict = judge_runs(facts, runs, time)
    energies = [energy.gross_uj for run in runs if (energy := energy_of([run])) is not None]
    return FileFigures(
        Figure(time.median_us, *time.interval_us),
        _figure([float(run.run.peak_rss_bytes) for run in runs]),
        _figure(energies) if len(energies) == len(runs) else None,
        verdict.kind,
        verdict.reasons,
    )


def _figure(values: Sequence[float]) -> Figure:
    """One value of each process."""
    low, high, _ = median_interval(values)
    return Figure(median(values), low, high)
