"""Two models on one board, in turn: A B B A in random order, so that drift hits both alike."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from converters.tflite.reader import read_model
from targets.device import BoardRun, Device, OnProgress, RunSettings, no_progress
from targets.inventory import Target
from targets.provision import open_device
from toolkit.admission import admit
from toolkit.bench import place_of
from toolkit.ratio import NOISE, Ratio, compare_medians
from toolkit.results import StoredResult
from toolkit.row import one_process
from toolkit.statistics import Latency, latency
from toolkit.verdict import VALID, Verdict, judge

#: Of each arm (Google Benchmark asks for 9 repetitions before it tests).
PROCESSES_OF_AN_ARM = 9


@dataclass(frozen=True)
class CompareSettings:
    """How two models are compared."""

    threads: int | None = None
    """`None`: as kedge.toml says, else 1."""
    duration_s: float = 9.0
    """Steady time of both arms together."""
    processes: int = PROCESSES_OF_AN_ARM
    """Of each arm."""
    max_regression: float = NOISE
    """B may be slower than A by this share."""
    seed: int = 0
    """Of the order."""
    wheelhouse: Path | None = None


@dataclass(frozen=True)
class Arm:
    """One of the two."""

    name: str
    latency: Latency
    verdict: Verdict


@dataclass(frozen=True)
class Comparison:
    """What may be said of B against A."""

    target: str
    place: str
    first: Arm
    second: Arm
    ratio: Ratio
    interleaved: bool
    """Whether both ran in turn; an earlier result did not, and the board may have changed since."""

    @property
    def trusted(self) -> bool:
        """Whether both arms are VALID."""
        return self.first.verdict.kind == self.second.verdict.kind == VALID


def compare(
    first: Path,
    second: Path,
    target: Target,
    settings: CompareSettings | None = None,
    on_progress: OnProgress = no_progress,
) -> Comparison:
    """Compare the latency of two .tflite files on a target.

    Args:
        first: A.
        second: B.
        target: Where.
        settings: Threads, time, processes and the bound.
        on_progress: Called as the work goes on.

    Raises:
        ConversionError: A file is no whole .tflite, or the board's runtime cannot load it.
        TargetError: The board cannot be reached, or has no place.
        AgentError: The board cannot load or run one of them.
    """
    settings = settings or CompareSettings()
    models = [read_model(first), read_model(second)]
    on_progress(f"connect to {target.name}", 0, 0)
    with open_device(target) as device:
        for model in models:
            admit(model, device)
        device.prepare_runtime(settings.wheelhouse, on_progress)
        arms = interleave(
            device,
            (first, second),
            _one_process(settings, 2, target),
            settings.processes,
            on_progress,
        )
        facts = dict(device.facts)
    figures = [latency([run.samples_ns for run in runs]) for runs in arms]
    judged = [
        Arm(str(path), figure, judge(facts, runs, figure))
        for path, figure, runs in zip((first, second), figures, arms, strict=True)
    ]
    ratio = compare_medians(
        figures[0].process_medians_us, figures[1].process_medians_us, settings.max_regression
    )
    return Comparison(target.name, place_of(target), judged[0], judged[1], ratio, True)


def compare_with_result(
    earlier: StoredResult,
    second: Path,
    target: Target,
    settings: CompareSettings | None = None,
    on_progress: OnProgress = no_progress,
) -> Comparison:
    """Compare a .tflite on a target with an earlier result.

    Args:
        earlier: A: a result of `kedge bench`, of any target.
        second: B: measured now, with as many processes as a comparison takes.
        target: Where.
        settings: As for `compare`.
        on_progress: Called as the work goes on.

    Raises:
        ConversionError: The file is no whole .tflite, or the board's runtime cannot load it.
        TargetError: The board cannot be reached, or has no place.
        AgentError: The board cannot load or run it.
    """
    settings = settings or CompareSettings()
    model = read_model(second)
    on_progress(f"connect to {target.name}", 0, 0)
    with open_device(target) as device:
        admit(model, device)
        device.prepare_runtime(settings.wheelhouse, on_progress)
        (runs,) = interleave(
            device, (second,), _one_process(settings, 1, target), settings.processes, on_progress
        )
        facts = dict(device.facts)
    figure = latency([run.samples_ns for run in runs])
    return Comparison(
        target.name,
        place_of(target),
        Arm(f"result {earlier.line.id} ({earlier.line.model})", earlier.latency, earlier.verdict),
        Arm(str(second), figure, judge(facts, runs, figure)),
        compare_medians(
            earlier.latency.process_medians_us, figure.process_medians_us, settings.max_regression
        ),
        False,
    )


def order_of(arms: int, processes: int, seed: int) -> list[int]:
    """Return which arm runs when: blocks of A B or B A, drawn anew for each block.

    Args:
        arms: How many there are.
        processes: Of each arm.
        seed: The same seed, the same order.
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
    paths: Sequence[Path],
    one: RunSettings,
    processes: int,
    on_progress: OnProgress,
) -> list[list[BoardRun]]:
    """Measure files in turn, each process of each a fresh one.

    Args:
        device: With its runtime prepared.
        paths: Of .tflite files that it can load.
        one: How one process runs; its seed decides the order, too.
        processes: Of each file.
        on_progress: Called as it goes on.

    Returns:
        The runs of each file.
    """
    staged = [device.push(path, on_progress) for path in paths]
    order = order_of(len(paths), processes, one.seed)
    runs: list[list[BoardRun]] = [[] for _ in paths]
    for done, arm in enumerate(order):
        on_progress("measure in turn", done, len(order))
        runs[arm].append(device.benchmark(staged[arm], one))
    return runs


def _one_process(settings: CompareSettings, arms: int, target: Target) -> RunSettings:
    duration_s = settings.duration_s / (arms * settings.processes)
    threads = settings.threads or target.execution.threads or 1
    return one_process(threads, duration_s, settings.seed)
