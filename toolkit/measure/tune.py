"""Finds the fastest way to run a model on a board: runtime, number of threads, cores.

Two rounds. In the first every setting runs in one short process, and those that are far behind the
fastest leave. In the second the others run in fresh processes, in turn, as a comparison does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from converters.errors import ConversionError
from converters.formats import FORMATS, read_model_file
from converters.model_file import ModelFile
from device_agent.contract.facts import Facts
from device_agent.contract.runtimes import TENSORRT, distribution_of
from targets.agent_client import AgentError
from targets.board_run import BoardRun
from targets.device import Device
from targets.errors import TargetError
from targets.execution import Execution
from targets.inventory import Target
from targets.place import place_of
from targets.progress import OnProgress, no_progress
from targets.runtimes.choice import usable_runtimes
from targets.runtimes.download import WheelError
from targets.runtimes.no_runtime import NoRuntimeError
from targets.runtimes.release import RuntimeChoice
from targets.runtimes.wheels import OtherWheelError
from targets.staged_file import StagedFile
from toolkit.judge.ratio import NOISE
from toolkit.judge.row import Row, row_of
from toolkit.judge.statistics import PROCESSES
from toolkit.judge.verdict import INVALID
from toolkit.measure.compare import draw_order
from toolkit.measure.ready import open_board, prepare_for
from toolkit.measure.rows import one_process

#: Time for which the process of a setting measures in the first round.
SCREENING_S = 0.2

#: A setting that is slower than the fastest by more than this does not enter the second round: one
#: process of a board that is not quiet differs by less.
FAR_BEHIND = 1.5

#: Number of the fastest settings that enter the second round, beside the default.
MOST_FINALISTS = 6


@dataclass(frozen=True)
class Setting:
    """One way to run a model on a board."""

    choice: RuntimeChoice
    threads: int
    cores: tuple[int, ...] = ()
    """Empty for all."""

    @property
    def runtime(self) -> str:
        """The runtime in words."""
        return f"{self.choice.distribution} {self.choice.version}"


@dataclass(frozen=True)
class Trial:
    """A setting and its figures."""

    setting: Setting
    screening_us: float
    """Median of its one process of the first round."""
    row: Row | None
    """Figures of the second round; `None` where the setting did not reach it."""

    @property
    def median_us(self) -> float:
        """Median of the last round that it reached, in microseconds."""
        return self.row.latency.median_us if self.row is not None else self.screening_us


@dataclass(frozen=True)
class Tuning:
    """Figures of the ways to run a model on a board."""

    target: str
    place: str
    model: Path
    trials: tuple[Trial, ...]
    """Trials of all settings, the fastest first."""
    default: Setting
    """Setting that kedge takes untuned: the preferred runtime, one thread, all cores."""
    refused: Mapping[str, str]
    """Reason by runtime, for runtimes that do not load the model or cannot run it."""

    @property
    def best(self) -> Trial | None:
        """The trial whose setting is to be kept; `None` where none can be trusted.

        Some settings cannot be distinguished from the fastest one that is not INVALID: they are
        within the noise, or their intervals overlap. Of these the one with the fewest threads is
        chosen: the others leave less of the board to everybody else, for nothing.
        """
        trusted = [
            (trial, trial.row.latency)
            for trial in self.trials
            if trial.row is not None and trial.row.verdict.kind != INVALID
        ]
        if not trusted:
            return None
        fastest = min((figure for _, figure in trusted), key=lambda figure: figure.median_us)
        most_us = max(fastest.median_us * (1 + NOISE), fastest.interval_us[1])
        alike = [
            (trial, figure.median_us)
            for trial, figure in trusted
            if min(figure.median_us, figure.interval_us[0]) <= most_us
        ]
        return min(alike, key=lambda pair: (pair[0].setting.threads, pair[1]))[0]

    @property
    def best_file(self) -> Path | None:
        """The file of the setting that is to be kept; `None` where none can be trusted."""
        best_trial = self.best
        if best_trial is None:
            return None
        suffix = f".{best_trial.setting.choice.format}"
        other = self.model.with_suffix(suffix)
        return other if other.is_file() and other != self.model else self.model

    @property
    def runtime_ratios(self) -> dict[str, float]:
        """Best median of each runtime that ran the model, over the median of the chosen setting."""
        best_trial = self.best
        if best_trial is None or best_trial.row is None:
            return {}
        best: dict[str, float] = {}
        for trial in self.trials:
            best[trial.setting.runtime] = min(
                trial.median_us, best.get(trial.setting.runtime, trial.median_us)
            )
        return {name: value / best_trial.row.latency.median_us for name, value in best.items()}

    @property
    def speedup(self) -> float | None:
        """Latency of the default over that of the chosen setting; above 1 is faster."""
        best_trial = self.best
        before = next((one.row for one in self.trials if one.setting == self.default), None)
        if best_trial is None or best_trial.row is None or before is None:
            return None
        return before.latency.median_us / best_trial.row.latency.median_us


def tune_target(
    model: Path,
    target: Target,
    duration_s: float = 1.5,
    wheelhouse: Path | None = None,
    on_progress: OnProgress = no_progress,
) -> Tuning:
    """Measure a model on a target in every way that it can run there.

    Args:
        model: Model file. A file beside it of the same name in another format (`kedge convert
            --format both` writes both) is measured on the runtimes of its format, too.
        target: Board; runtime, threads and cores of its entry in kedge.toml are ignored.
        duration_s: Steady time of one setting in the second round, over all its processes.
        wheelhouse: Folder of wheels, where there is no network.
        on_progress: Called as the work goes on.

    Raises:
        ConversionError: A file is not whole, or no runtime of the board can load it.
        TargetError: The board cannot be reached, has no place, or loads no runtime.
        AgentError: The board cannot load or run the model in any way.
    """
    files = files_of(model)
    untuned = replace(target.execution, runtime=None, threads=None, cores=())
    target = replace(target, execution=untuned)
    with open_board(target, on_progress) as device:
        default = Setting(device.runtime_for(files[0].format), 1)
        runtimes, refused = _prepare(files, device, wheelhouse, on_progress)
        formats = {choice.format for choice in runtimes}
        staged = {
            contents.format: device.push(contents.path, on_progress)
            for contents in files
            if contents.format in formats
        }
        settings = settings_for(device.facts, runtimes)
        medians = _screen(device, staged, settings, refused, on_progress)
        finalists = choose_finalists(medians, default)
        rows = _measure(device, staged, finalists, duration_s, on_progress)
    trials = [Trial(setting, medians[setting], rows.get(setting)) for setting in medians]
    return Tuning(
        target.name, place_of(target), model, tuple(sorted(trials, key=_speed)), default, refused
    )


def files_of(model: Path) -> tuple[ModelFile, ...]:
    """Read a model file, and those beside it of the same name in other formats.

    Args:
        model: Model file.

    Returns:
        Files, that of `model` first.

    Raises:
        ConversionError: One of them is no whole file of its format.
    """
    contents = read_model_file(model)
    beside = (model.with_suffix(f".{name}") for name in FORMATS if name != contents.format)
    return (contents, *(read_model_file(path) for path in beside if path.is_file()))


def apply_setting(execution: Execution, setting: Setting) -> Execution:
    """Return the execution of a target with the runtime, threads and cores of a setting."""
    return replace(
        execution,
        runtime=setting.choice.distribution,
        threads=setting.threads,
        cores=setting.cores,
    )


def settings_for(facts: Facts, runtimes: Sequence[RuntimeChoice]) -> list[Setting]:
    """Return all ways to run a model: each runtime on 1 to all threads, on each class of cores.

    Args:
        facts: Facts of the board, as the agent reports them.
        runtimes: Runtimes that load there.
    """
    classes = [kind.cores for kind in facts.core_classes]
    places: list[tuple[tuple[int, ...], int]] = [((), facts.cores)]
    if len(classes) > 1:
        places += [(cores, len(cores)) for cores in classes]
    return [
        Setting(choice, threads, cores)
        for choice in runtimes
        for cores, most in _places(choice, places)
        for threads in range(1, most + 1)
    ]


def _places(
    choice: RuntimeChoice, places: list[tuple[tuple[int, ...], int]]
) -> list[tuple[tuple[int, ...], int]]:
    """Cores and threads that a runtime is tried on: TensorRT's are those of the GPU."""
    return [((), 1)] if distribution_of(choice.distribution) == TENSORRT else places


def choose_finalists(medians: Mapping[Setting, float], default: Setting) -> list[Setting]:
    """Choose the settings of the second round: the fastest, and the default for comparison.

    Args:
        medians: Median of each setting in the first round, microseconds; at least one.
        default: Setting that kedge takes untuned.
    """
    fastest = min(medians.values())
    near = sorted(
        (one for one in medians if medians[one] <= FAR_BEHIND * fastest), key=medians.__getitem__
    )
    finalists = near[:MOST_FINALISTS]
    return finalists if default in finalists or default not in medians else [*finalists, default]


def _prepare(
    files: Sequence[ModelFile], device: Device, wheelhouse: Path | None, on_progress: OnProgress
) -> tuple[list[RuntimeChoice], dict[str, str]]:
    """Bring every runtime there that loads one of the files; say why the others do not."""
    runtimes: list[RuntimeChoice] = []
    refused: dict[str, str] = {}
    first_error: Exception | None = None
    choices = [
        (contents, choice)
        for contents in files
        for choice in usable_runtimes(device.facts, contents.format)
    ]
    for contents, choice in choices:
        device.use(choice)
        try:
            prepare_for(device, (contents,), wheelhouse, on_progress)
        except OtherWheelError:  # somebody may have put it there: no reason to try another
            raise
        except (ConversionError, AgentError, WheelError, NoRuntimeError) as error:
            first_error = first_error or error
            refused[f"{choice.distribution} {choice.version}"] = str(error)
            continue
        runtimes.append(choice)
    if not runtimes:
        raise first_error or TargetError(f"{device.target.name} loads no runtime")
    return runtimes, refused


def _screen(
    device: Device,
    staged: Mapping[str, StagedFile],
    settings: Sequence[Setting],
    refused: dict[str, str],
    on_progress: OnProgress,
) -> dict[Setting, float]:
    """Run every setting once, in an order that is drawn; return the median of each."""
    medians: dict[Setting, float] = {}
    first_error: AgentError | None = None
    for done, position in enumerate(draw_order(len(settings), 1, seed=0)):
        on_progress("try every setting", done, len(settings))
        setting = settings[position]
        if setting.runtime in refused:
            continue
        try:
            run = _run(device, staged, setting, SCREENING_S)
        except AgentError as error:  # this runtime cannot run the model: another may
            first_error = first_error or error
            refused[setting.runtime] = str(error)
            medians = {one: m for one, m in medians.items() if one.runtime != setting.runtime}
            continue
        medians[setting] = float(np.median(np.asarray(run.samples_ns))) / 1e3
    if not medians:
        assert first_error is not None
        raise first_error
    return medians


def _measure(
    device: Device,
    staged: Mapping[str, StagedFile],
    finalists: Sequence[Setting],
    duration_s: float,
    on_progress: OnProgress,
) -> dict[Setting, Row]:
    runs: list[list[BoardRun]] = [[] for _ in finalists]
    order = draw_order(len(finalists), PROCESSES, seed=1)
    for done, position in enumerate(order):
        on_progress("measure the fastest in turn", done, len(order))
        setting = finalists[position]
        runs[position].append(_run(device, staged, setting, duration_s / PROCESSES))
    return {
        setting: row_of(device.facts, setting.threads, tuple(own))
        for setting, own in zip(finalists, runs, strict=True)
    }


def _run(
    device: Device, staged: Mapping[str, StagedFile], setting: Setting, duration_s: float
) -> BoardRun:
    device.use(setting.choice)
    one = replace(one_process(setting.threads, duration_s), cores=setting.cores)
    return device.jobs.benchmark(staged[setting.choice.format], one)


def _speed(trial: Trial) -> tuple[bool, float]:
    return trial.row is None, trial.median_us
