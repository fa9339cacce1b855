"""The shadow probe: measures a staged release on a board, beside the active one."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np

from converters.evidence.golden import Golden
from converters.formats import read_model_file
from converters.model_file import ModelFile
from device_agent.contract.measurement import KernelClass
from targets.board_run import BoardRun
from targets.device import Device
from targets.progress import no_progress
from targets.staged_file import StagedFile
from toolkit.bundle.golden_outputs import GoldenOutputs, golden_of_variant
from toolkit.fleet.policy import PROBE_GATES
from toolkit.judge.gates import Evidence
from toolkit.judge.golden_parity import compare_golden
from toolkit.judge.parity import Parity
from toolkit.judge.ratio import LEAST_PROCESSES, compare_medians
from toolkit.measure.compare import interleave
from toolkit.measure.outputs import check_outputs, most_output_bytes
from toolkit.measure.ready import prepare_for
from toolkit.measure.rows import one_process
from toolkit.measure.state import card_of_comparison, reset_before_samples

#: Steady seconds of each process of the paired latency.
PROCESS_S = 0.2

#: Largest number of processes of each release, where fewer do not decide.
MOST_PROCESSES = 2 * LEAST_PROCESSES


@dataclass(frozen=True)
class ShadowModel:
    """A model that lies on a board in a release."""

    path: Path
    """Path of the model here, its golden vectors beside it."""
    contents: ModelFile

    @property
    def on_board(self) -> StagedFile:
        """The model as jobs of the board name it."""
        return StagedFile(self.contents.sha256, self.contents.size_bytes, "", 0)


class GoldenVectors:
    """Golden inputs and outputs of variants, read once for a fleet; used by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._vectors: dict[Path, tuple[Golden, GoldenOutputs] | None] = {}

    def of(self, model: ShadowModel) -> tuple[Golden, GoldenOutputs] | None:
        """Return the golden vectors beside a model; `None` where it has none."""
        folder = model.path.parent
        with self._lock:
            if folder not in self._vectors:
                self._vectors[folder] = golden_of_variant(folder)
            return self._vectors[folder]


def shadow_model(path: Path) -> ShadowModel:
    """Read a model of a release.

    Raises:
        ConversionError: It is no whole model file.
    """
    return ShadowModel(path, read_model_file(path))


def measure_in_shadow(
    device: Device,
    new: ShadowModel,
    active: ShadowModel | None,
    limits: Mapping[str, float],
    vectors: GoldenVectors,
    wheelhouse: Path | None = None,
    force: bool = False,
) -> Evidence:
    """Measure what the gates need, all but health.

    Args:
        device: Board on which both releases are staged.
        new: Model to judge.
        active: Model to compare the latency with; `None` for none, or one that cannot be measured.
        limits: Limit by name of a gate; what no gate needs is not measured.
        vectors: Golden vectors of the fleet.
        wheelhouse: Folder of wheels, where there is no network.
        force: Whether a refusal of the board's runtime by its release is overridden.

    Raises:
        ConversionError: The board's runtime cannot load the model.
        TargetError: The board loads no runtime, or cannot be reached any more.
        AgentError: The board cannot load or run the model.
    """
    evidence = Evidence()
    if PROBE_GATES.isdisjoint(limits):
        return evidence  # no runtime is needed then
    kernel_class = prepare_for(device, [new.contents], wheelhouse, no_progress, force)
    if {"parity", "accuracy"} & limits.keys():
        parity = _compare_outputs(device, new, kernel_class, vectors)
        evidence = replace(evidence, parity=parity)
        if parity.board_accuracy is not None:
            right = round(parity.board_accuracy * parity.samples)
            evidence = replace(evidence, right=right, samples=parity.samples)
    runs: Sequence[BoardRun] = ()
    if "latency_ratio" in limits and active is not None:
        if active.contents.format != new.contents.format:
            # It runs there already.
            prepare_for(device, [active.contents], wheelhouse, no_progress, force=True)
        before, runs = _time_in_turns(device, active, new, limits["latency_ratio"])
        evidence = replace(evidence, before_us=_medians_us(before))
    elif {"latency_ratio", "memory", "temperature"} & limits.keys():
        runs = _time_alone(device, new, LEAST_PROCESSES)  # a later check compares with as many
    if not runs:
        return evidence
    celsius = _highest_celsius(runs)
    no_sensor = {"temperature": "the board reports no temperature"}
    return replace(
        evidence,
        after_us=_medians_us(runs),
        peak_memory_bytes=max(each.run.peak_rss_bytes for each in runs),
        highest_celsius=celsius,
        exempt=no_sensor if celsius is None else {},
    )


def _compare_outputs(
    device: Device, model: ShadowModel, kernel_class: KernelClass, vectors: GoldenVectors
) -> Parity:
    """Compare the outputs of a board with those of the golden vectors, or of this host.

    Args:
        device: Board, with its runtime prepared.
        model: Model on the board.
        kernel_class: Kernels that compute there.
        vectors: Golden vectors of the fleet.
    """
    contents = model.contents
    golden_vectors = vectors.of(model)
    if golden_vectors is None:
        return check_outputs(contents, device, model.on_board, kernel_class, no_progress).parity
    golden, outputs = golden_vectors
    inputs = golden.inputs
    if golden.more_inputs:
        more = golden.more_inputs
        inputs = {name: np.concatenate([of, more[name]]) for name, of in inputs.items()}
    board, on_board = device.jobs.infer(
        model.on_board,
        inputs,
        no_progress,
        reset=reset_before_samples(contents, card_of_comparison(contents)),
        most_bytes=most_output_bytes(outputs.outputs),
    )
    host = (outputs.kernel_class, outputs.outputs)
    return compare_golden(host, (board, on_board), contents, golden)


def _time_in_turns(
    device: Device, first: ShadowModel, second: ShadowModel, limit: float
) -> tuple[list[BoardRun], list[BoardRun]]:
    """Time two models in turns, with more processes where the first ones do not decide.

    Args:
        device: Board, with the runtimes of both prepared.
        first: Active model.
        second: New model.
        limit: Largest accepted ratio of the second's latency to the first's.
    """
    models = [first.on_board, second.on_board]
    choices = [device.runtime_for(model.contents.format) for model in (first, second)]
    before: list[BoardRun] = []
    after: list[BoardRun] = []
    while len(before) < MOST_PROCESSES:
        one = one_process(device.target.execution.threads or 1, PROCESS_S, seed=len(before))
        arms = interleave(device, models, one, LEAST_PROCESSES, no_progress, choices)
        before += arms[0]
        after += arms[1]
        low, high = compare_medians(_medians_us(before), _medians_us(after), limit - 1).interval
        if low > limit or high <= limit:
            break
    return before, after


def _time_alone(device: Device, model: ShadowModel, processes: int) -> list[BoardRun]:
    """Time one model in several processes.

    Args:
        device: Board, with its runtime prepared.
        model: Model on the board.
        processes: Number of processes.
    """
    one = one_process(device.target.execution.threads or 1, PROCESS_S)
    return [device.jobs.benchmark(model.on_board, one) for _ in range(processes)]


def _medians_us(runs: Sequence[BoardRun]) -> tuple[float, ...]:
    """Return the median latency of each process in microseconds."""
    return tuple(median(run.samples_ns) / 1e3 for run in runs)


def _highest_celsius(runs: Sequence[BoardRun]) -> float | None:
    values = [
        celsius
        for run in runs
        for conditions in run.conditions
        for celsius in conditions.temperature_celsius.values()
    ]
    return max(values, default=None)
