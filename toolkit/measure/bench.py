"""Measure a model on a board: bring it there, check its outputs, time it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from converters.formats import read_model_file
from converters.model_file import ModelFile
from device_agent.contract.facts import Facts
from device_agent.contract.measurement import KernelClass
from device_agent.contract.op_times import OpTimes
from device_agent.contract.runtimes import TENSORRT, distribution_of
from targets.device import Device
from targets.errors import TargetError
from targets.execution import Execution
from targets.inventory import Target
from targets.jobs import ProcessSettings
from targets.place import place_of
from targets.progress import OnProgress, no_progress
from targets.staged_file import StagedFile
from targets.transport import UnreachableError
from toolkit.judge.parity import Parity
from toolkit.judge.row import Row
from toolkit.judge.statistics import PROCESSES
from toolkit.judge.throughput import saturation
from toolkit.judge.verdict import INVALID
from toolkit.measure.accuracy import BoardAccuracy, BoardMetric, measure_accuracy
from toolkit.measure.inputs import refuse_odd_tensors
from toolkit.measure.labelled_data import LabelledData, open_labelled
from toolkit.measure.op_times import ask_op_times
from toolkit.measure.outputs import check_outputs
from toolkit.measure.quality import QUALITIES
from toolkit.measure.ready import open_board, ready
from toolkit.measure.rows import measure_row, one_process
from toolkit.measure.state import NO_STATE, card_of_comparison, state_of
from toolkit.reboot import explain_loss


@dataclass(frozen=True)
class BenchSettings:
    """Settings of a benchmark."""

    threads: tuple[int, ...] | None = None
    """Numbers of threads, one row each; empty for 1 up to the board's cores; `None` for the number
    in kedge.toml, else 1."""
    duration_s: float = 3.0
    """Steady time of one row, over the processes of one round."""
    wheelhouse: Path | None = None
    """Folder of wheels, where there is no network."""
    processes: int = PROCESSES
    """Number of fresh processes of one row; as many again where they differ, unless the quality is
    quick."""
    quality: str = "standard"
    """Name of the quality (a key of `QUALITIES`), which decides how often a row is repeated."""
    rate_hz: float = 0.0
    """Number of requests a second, at fixed times; 0 for runs back to back."""
    soak_s: float = 0.0
    """Length of a soak: one process, which may leak or get slower; 0 for none."""
    streams: tuple[int, ...] = ()
    """Numbers of processes that run at the same time, one row each; empty for one at a time."""
    seed: int = 0
    """Seed of the random inputs that are timed."""
    profile: bool = False
    """Whether the time of each operator is measured, too."""
    data: Path | None = None
    """Labelled data set, for the accuracy on the board."""
    force: bool = False
    """Whether a model goes to a runtime that does not load it by its release."""

    def one_process(self, threads: int) -> ProcessSettings:
        """Return how one fresh process measures."""
        if self.soak_s:
            return replace(one_process(threads, self.soak_s, self.seed), soak=True)
        one = one_process(threads, self.duration_s / self.processes, self.seed)
        return replace(one, period_ns=round(1e9 / self.rate_hz)) if self.rate_hz else one


@dataclass(frozen=True)
class Measurement:
    """Figures of a model on a board, and the conditions under which they were taken."""

    target: str
    place: str
    """Name of the board, or "this computer": the head of the rows."""
    model: Path
    model_sha256: str
    facts: Facts
    kernel_class: KernelClass
    staged: StagedFile
    parity: Parity
    settings: BenchSettings
    rows: tuple[Row, ...]
    connect_s: float | None = None
    """Seconds from the first packet to the board's facts; `None` where the caller connected."""
    push_s: float | None = None
    """Seconds for sending the model, or finding that it is there."""
    accuracy: BoardAccuracy | BoardMetric | None = None
    """Accuracy over the labelled data set, or the metric of another task; `None` without data."""
    op_times: OpTimes | None = None
    """Time of each operator; `None` where it was not measured."""
    failure: TargetError | None = None
    """Error that ended the measurement once there were rows; `None` where all was measured."""
    state: str = NO_STATE
    """State of the model before each compared sample: `NO_STATE`, `FRESH` or `STREAM`."""
    overridden: tuple[str, ...] = ()
    """Refusals of the runtime that were overridden."""

    @property
    def interrupted(self) -> bool:
        """Whether a person ended the measurement before all processes had run."""
        return any(row.interrupted for row in self.rows)

    @property
    def best(self) -> Row:
        """The fastest row, of those that can be trusted if there are any.

        Of rows of several processes at the same time it is that of the fewest processes which reach
        the throughput of the board.
        """
        trusted = [row for row in self.rows if row.verdict.kind != INVALID] or [*self.rows]
        if self.settings.streams:
            return trusted[saturation([row.throughput.per_second for row in trusted])]
        return min(trusted, key=lambda row: row.latency.median_us)


def bench(
    model: Path,
    target: Target,
    settings: BenchSettings | None = None,
    on_progress: OnProgress = no_progress,
) -> Measurement:
    """Measure a model file on a target.

    Args:
        model: Model file. Held-out inputs of a conversion beside it (`golden.npz`) are used to
            compare the outputs; without them, random ones are.
        target: Board.
        settings: Threads, duration and the like.
        on_progress: Called as the work goes on.

    Raises:
        ConversionError: The file is not whole, the board's runtime cannot load it, or the
            data does not fit it.
        TargetError: The board cannot be reached, or has no place.
        AgentError: The board cannot load or run the model, and there is no row yet.
        IntegrityError: Something arrived damaged.
    """
    contents, settings = read_model_file(model), settings or BenchSettings()
    data = open_labelled(contents, settings.data) if settings.data else None
    started = time.monotonic()
    with open_board(target, on_progress) as device:
        connect_s = time.monotonic() - started
        try:
            measurement = bench_on(contents, device, settings, on_progress, data)
        except UnreachableError as lost:
            raise explain_loss(target, device.facts.boot_id, lost, on_progress) from lost
        failure = measurement.failure
        if isinstance(failure, UnreachableError):
            failure = explain_loss(target, device.facts.boot_id, failure, on_progress)
    return replace(measurement, connect_s=connect_s, failure=failure)


def bench_on(
    contents: ModelFile,
    device: Device,
    settings: BenchSettings,
    on_progress: OnProgress,
    data: LabelledData | None = None,
) -> Measurement:
    """Measure a model file on a board that is connected already.

    Args:
        contents: Model file.
        device: Board.
        settings: Threads, duration and the like.
        on_progress: Called as the work goes on.
        data: Labelled data set, for the accuracy on the board.

    Raises:
        ConversionError: The board's runtime cannot load the file, the data does not fit it, or
            kedge has no values for its inputs.
        TargetError: The board loads no runtime, or has no room.
        AgentError: The board cannot load or run the model.
        IntegrityError: Something arrived damaged.
    """
    refuse_odd_tensors(contents)
    board = ready(device, (contents,), settings.wheelhouse, on_progress, settings.force)
    (staged,) = board.staged
    check = check_outputs(contents, device, staged, board.kernel_class, on_progress)
    accuracy = measure_accuracy(contents, data, device, staged, on_progress) if data else None
    cores = device.facts.cores
    threads = threads_for(settings.threads, device.target.execution, cores)
    if distribution_of(board.kernel_class.runtime) == TENSORRT:  # the GPU has its own threads
        threads = (1,)
    processes = [
        (replace(settings.one_process(count), integers=check.integers), streams)
        for count in threads
        for streams in settings.streams or (1,)
    ]
    rows, failure = _rows(device, staged, settings, processes, on_progress)
    op_times = None
    if settings.profile and not rows[-1].interrupted and failure is None:
        op_times, failure = _op_times(device, staged, contents, on_progress)
    return Measurement(
        target=device.target.name,
        place=place_of(device.target),
        model=contents.path,
        model_sha256=contents.sha256,
        facts=device.facts,
        kernel_class=board.kernel_class,
        staged=staged,
        parity=check.parity,
        settings=settings,
        rows=rows,
        push_s=board.push_s,
        accuracy=accuracy,
        op_times=op_times,
        failure=failure,
        state=state_of(contents, card_of_comparison(contents)),
        overridden=board.overridden,
    )


def _op_times(
    device: Device, staged: StagedFile, contents: ModelFile, on_progress: OnProgress
) -> tuple[OpTimes | None, TargetError | None]:
    on_progress("time each operator", 0, 0)
    try:
        return ask_op_times(device, staged, contents), None
    except TargetError as error:
        return None, error


def threads_for(
    counts: tuple[int, ...] | None, execution: Execution, cores: int
) -> tuple[int, ...]:
    """Return the numbers of threads to measure with.

    Args:
        counts: `BenchSettings.threads`.
        execution: Settings of the target in kedge.toml.
        cores: Number of cores of the board.
    """
    if counts is None:
        return (execution.threads or 1,)
    return counts or tuple(range(1, cores + 1))


def _rows(
    device: Device,
    staged: StagedFile,
    settings: BenchSettings,
    processes: Sequence[tuple[ProcessSettings, int]],
    on_progress: OnProgress,
) -> tuple[tuple[Row, ...], TargetError | None]:
    """Measure a row for each setting and number of processes.

    Returns:
        Rows, if a person interrupts or the board fails those that are whole, and the error of the
        board.
    """
    rows: list[Row] = []
    for one, streams in processes:
        try:
            rows.append(_row(device, staged, one, streams, settings, on_progress))
        except KeyboardInterrupt:
            if not rows:
                raise
            rows[-1] = replace(rows[-1], interrupted=True)
        except TargetError as error:  # such as more processes than its memory has room for
            if not rows:
                raise
            return tuple(rows), error
        if rows[-1].interrupted:
            break
    return tuple(rows), None


def _row(
    device: Device,
    staged: StagedFile,
    one: ProcessSettings,
    streams: int,
    settings: BenchSettings,
    on_progress: OnProgress,
) -> Row:
    if settings.soak_s:
        return measure_row(device, staged, one, 1, 1, on_progress)
    rounds = QUALITIES[settings.quality].rounds
    return measure_row(device, staged, one, settings.processes, rounds, on_progress, streams)
