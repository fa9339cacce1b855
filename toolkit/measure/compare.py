"""Two models on one board, in turn: A B B A in random order, so that drift hits both alike."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from converters.formats import read_model_file
from device_agent.contract.facts import Facts
from device_agent.contract.measurement import KernelClass
from targets.board_run import BoardRun
from targets.device import Device
from targets.inventory import Target
from targets.jobs import ProcessSettings
from targets.place import place_of
from targets.progress import OnProgress, no_progress
from targets.runtimes.release import RuntimeChoice
from targets.staged_file import StagedFile
from toolkit.errors import ToolkitError
from toolkit.judge.earlier import EarlierResult
from toolkit.judge.ratio import LEAST_PROCESSES, NOISE, Ratio, compare_medians
from toolkit.judge.row import Row, row_of
from toolkit.judge.statistics import Latency
from toolkit.judge.verdict import VALID, Verdict
from toolkit.measure.outputs import host_class
from toolkit.measure.ready import open_board, ready
from toolkit.measure.rows import one_process

#: Number of processes of each arm (Google Benchmark wants 9 repetitions before it tests).
PROCESSES_OF_AN_ARM = 9


@dataclass(frozen=True)
class CompareSettings:
    """Settings of a comparison of two models."""

    threads: int | None = None
    """Number of threads; `None` for the number in kedge.toml, else 1."""
    duration_s: float = 9.0
    """Steady time of both arms together."""
    processes: int = PROCESSES_OF_AN_ARM
    """Number of processes of each arm."""
    max_regression: float = NOISE
    """Largest accepted slowdown of B, as a share of A."""
    seed: int = 0
    """Seed of the order in which the processes run."""
    wheelhouse: Path | None = None


@dataclass(frozen=True)
class ArmMeasurement:
    """Processes of one model, measured in turn with those of the other arm."""

    model: Path
    model_sha256: str
    staged: StagedFile
    facts: Facts
    """Facts of the board."""
    kernel_class: KernelClass
    """Kernels that computed on the board."""
    host: KernelClass
    """Kernels that compute files of this format on the host."""
    row: Row
    duration_s: float
    """Steady time of this arm, over all its processes."""
    processes: int
    seed: int


@dataclass(frozen=True)
class Arm:
    """One of the two models of a comparison."""

    name: str
    latency: Latency
    verdict: Verdict
    measurement: ArmMeasurement | None = None
    """Processes that ran for the comparison; `None` of an earlier result."""


@dataclass(frozen=True)
class LatencyComparison:
    """Latency of B against that of A."""

    target: str
    place: str
    first: Arm
    second: Arm
    ratio: Ratio
    interleaved: bool
    """Whether both ran in turn; an earlier result did not, and the board may have changed since."""
    differences: tuple[str, ...] = ()
    """Differences of the sides beside the model; one sentence each."""

    @property
    def trusted(self) -> bool:
        """Whether both arms are VALID."""
        return self.first.verdict.kind == self.second.verdict.kind == VALID


def compare_models(
    first: Path,
    second: Path,
    target: Target,
    settings: CompareSettings | None = None,
    on_progress: OnProgress = no_progress,
) -> LatencyComparison:
    """Compare the latency of two model files on a target.

    Args:
        first: Model A.
        second: Model B.
        target: Board.
        settings: Threads, time, processes and the bound.
        on_progress: Called as the work goes on.

    Raises:
        ConversionError: A file is no whole model file, or the board's runtime cannot load it.
        TargetError: The board cannot be reached, or has no place.
        AgentError: The board cannot load or run one of them.
    """
    settings = settings or CompareSettings()
    arms = [_arm(one) for one in _measure_arms((first, second), target, settings, on_progress)]
    return _comparison(arms[0], arms[1], target, settings.max_regression, True)


def compare_with_result(
    earlier: EarlierResult,
    second: Path,
    target: Target,
    settings: CompareSettings | None = None,
    on_progress: OnProgress = no_progress,
) -> LatencyComparison:
    """Compare a model file on a target with an earlier result.

    Args:
        earlier: A: a result of `kedge bench`, of any target, of runs back to back.
        second: B: measured now, with as many processes as a comparison takes.
        target: Board.
        settings: Threads (without them those of A), time, processes and the bound.
        on_progress: Called as the work goes on.

    Raises:
        ToolkitError: The earlier result has too few processes, or was no run back to back.
        ConversionError: The file is no whole model file, or the board's runtime cannot load it.
        TargetError: The board cannot be reached, or has no place.
        AgentError: The board cannot load or run it.
    """
    settings = settings or CompareSettings()
    _require_comparable(earlier)
    settings = replace(settings, threads=settings.threads or earlier.threads)
    (now,) = _measure_arms((second,), target, settings, on_progress)
    before, after = _arm_of_result(earlier), _arm(now)
    comparison = _comparison(before, after, target, settings.max_regression, False)
    identity = (target.name, place_of(target), str(now.kernel_class), now.row.threads)
    return replace(comparison, differences=_differences(earlier, identity))


def compare_results(
    first: EarlierResult, second: EarlierResult, max_regression: float = NOISE
) -> LatencyComparison:
    """Compare the latency of two earlier results; nothing is measured.

    Args:
        first: A: a result of runs back to back.
        second: B: a result of runs back to back.
        max_regression: Largest accepted slowdown of B, as a share of A.

    Raises:
        ToolkitError: A result has too few processes, or was no run back to back.
    """
    for result in (first, second):
        _require_comparable(result)
    ratio = compare_medians(
        first.latency.process_medians_us, second.latency.process_medians_us, max_regression
    )
    identity = (second.target, second.place, second.runtime, second.threads)
    arms = (_arm_of_result(first), _arm_of_result(second))
    return LatencyComparison(
        second.target, second.place, *arms, ratio, False, _differences(first, identity)
    )


def _arm_of_result(result: EarlierResult) -> Arm:
    return Arm(f"result {result.number} ({result.model})", result.latency, result.verdict)


def _require_comparable(earlier: EarlierResult) -> None:
    """Refuse a result whose figures cannot be set against others."""
    processes = len(earlier.latency.process_medians_us)
    if processes < LEAST_PROCESSES:
        raise ToolkitError(
            f"result {earlier.number} has {processes} processes, expected at least "
            f"{LEAST_PROCESSES} for an interval",
            f"Measure it again: kedge bench {earlier.model} --on {earlier.target}",
        )
    if earlier.mode:
        raise ToolkitError(
            f"result {earlier.number} was measured as {earlier.mode}, a comparison runs back "
            "to back",
            f"Measure it so: kedge bench {earlier.model} --on {earlier.target}",
        )


def _differences(earlier: EarlierResult, identity: tuple[str, str, str, int]) -> tuple[str, ...]:
    """Name what differs between A and B beside the model; `identity` is that of B."""
    before = (earlier.target, earlier.place, earlier.runtime, earlier.threads)
    fields = ("target", "place", "runtime", "number of threads")
    return tuple(
        f"the {what} of A was {a}, of B it is {b}"
        for what, a, b in zip(fields, before, identity, strict=True)
        if a != b
    )


def _measure_arms(
    paths: Sequence[Path], target: Target, settings: CompareSettings, on_progress: OnProgress
) -> list[ArmMeasurement]:
    """Measure files in turn, each in as many processes as a comparison takes."""
    models = [read_model_file(path) for path in paths]
    threads = settings.threads or target.execution.threads or 1
    duration_s = settings.duration_s / len(paths)
    with open_board(target, on_progress) as device:
        boards = [ready(device, (model,), settings.wheelhouse, on_progress) for model in models]
        choices = [device.runtime_for(model.format) for model in models]
        staged = [file for board in boards for file in board.staged]
        one = one_process(threads, duration_s / settings.processes, settings.seed)
        arms = interleave(device, staged, one, settings.processes, on_progress, choices)
    return [
        ArmMeasurement(
            model=model.path,
            model_sha256=model.sha256,
            staged=board.staged[0],
            facts=device.facts,
            kernel_class=board.kernel_class,
            host=host_class(model.format),
            row=row_of(device.facts, threads, tuple(runs)),
            duration_s=duration_s,
            processes=settings.processes,
            seed=settings.seed,
        )
        for model, board, runs in zip(models, boards, arms, strict=True)
    ]


def _arm(measurement: ArmMeasurement) -> Arm:
    row = measurement.row
    return Arm(str(measurement.model), row.latency, row.verdict, measurement)


def _comparison(
    first: Arm, second: Arm, target: Target, max_regression: float, interleaved: bool
) -> LatencyComparison:
    ratio = compare_medians(
        first.latency.process_medians_us, second.latency.process_medians_us, max_regression
    )
    return LatencyComparison(target.name, place_of(target), first, second, ratio, interleaved)


def draw_order(arms: int, processes: int, seed: int) -> list[int]:
    """Draw the order in which the arms run: blocks of A B or B A, each drawn anew.

    Args:
        arms: Number of arms.
        processes: Number of processes of each arm.
        seed: Seed of the draw; an equal seed gives an equal order.
    """
    draw = random.Random(seed)
    order = []
    for _ in range(processes):
        block = list(range(arms))
        draw.shuffle(block)
        order += block
    return order


def interleave(
    device: Device,
    models: Sequence[StagedFile],
    one: ProcessSettings,
    processes: int,
    on_progress: OnProgress,
    choices: Sequence[RuntimeChoice] = (),
) -> list[list[BoardRun]]:
    """Measure files in turn, each time in a fresh process.

    Args:
        device: Board, with the runtimes prepared.
        models: Files on the board, which its runtimes can load.
        one: Settings of one process; its seed decides the order, too.
        processes: Number of processes of each file.
        on_progress: Called as it goes on.
        choices: Runtime of each file; without them, the one that was prepared last runs all.

    Returns:
        Runs of each file, in the order of `models`.
    """
    order = draw_order(len(models), processes, one.seed)
    runs: list[list[BoardRun]] = [[] for _ in models]
    for done, arm in enumerate(order):
        on_progress("measure in turn", done, len(order))
        if choices:
            device.use(choices[arm])
        runs[arm].append(device.jobs.benchmark(models[arm], one))
    return runs
