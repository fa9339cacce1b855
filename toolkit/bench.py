"""Measure a model on a board: bring it there, check its outputs, time it."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from converters.golden import Golden, read_golden
from converters.tflite.isolated import run_isolated
from converters.tflite.reader import ModelFile, read_model
from converters.tflite.run import host_runtime
from device_agent.contract.measurement import KernelClass
from targets.device import BoardRun, Device, OnProgress, RunSettings, Staged, no_progress
from targets.inventory import Target
from targets.provision import open_device
from toolkit.admission import admit
from toolkit.errors import ToolkitError
from toolkit.parity import Parity, compare
from toolkit.statistics import PROCESSES, Latency, latency
from toolkit.verdict import INVALID, Verdict, judge

GOLDEN_NAME = "golden.npz"

#: Untimed runs at the start of each process last so long, or as long as the timed ones if shorter.
LONGEST_WARMUP_S = 0.5

#: How many random inputs stand in where a file has no held-out ones beside it.
RANDOM_SAMPLES = 64

_LOOPBACK = ("127.", "::1", "localhost")


@dataclass(frozen=True)
class BenchSettings:
    """What is measured."""

    threads: tuple[int, ...] = (1,)
    """The settings to measure, one row each; empty for 1 up to the board's cores."""
    duration_s: float = 3.0
    """Steady time of one row, over all its processes."""
    wheelhouse: Path | None = None
    """A folder of wheels, where there is no network."""


@dataclass(frozen=True)
class Row:
    """One setting, measured."""

    threads: int
    latency: Latency
    """Of `invoke` alone."""
    end_to_end: Latency
    """Of the whole inference: quantize, set, invoke, get, dequantize."""
    verdict: Verdict
    runs: tuple[BoardRun, ...]


@dataclass(frozen=True)
class Measurement:
    """What a board said about a model."""

    target: str
    place: str
    """What the rows are headed with."""
    model: Path
    model_sha256: str
    facts: dict[str, Any]
    kernel_class: KernelClass
    staged: Staged
    parity: Parity
    settings: BenchSettings
    rows: tuple[Row, ...]

    @property
    def best(self) -> Row:
        """The fastest row, of those that can be trusted if there are any."""
        trusted = [row for row in self.rows if row.verdict.kind != INVALID]
        return min(trusted or self.rows, key=lambda row: row.latency.median_us)


def bench(
    model: Path,
    target: Target,
    settings: BenchSettings | None = None,
    on_progress: OnProgress = no_progress,
) -> Measurement:
    """Measure a .tflite on a target.

    Args:
        model: The .tflite. Held-out inputs of a conversion beside it (`golden.npz`) are used to
            compare the outputs; without them, random ones are.
        target: Where.
        settings: Threads, duration and the like.
        on_progress: Called as the work goes on.

    Raises:
        ConversionError: The file is no whole .tflite, or the board's runtime cannot load it.
        TargetError: The board cannot be reached, or has no place.
        AgentError: The board cannot load or run the model.
        IntegrityError: Something arrived damaged.
    """
    contents = read_model(model)
    on_progress(f"connect to {target.name}", 0, 0)
    with open_device(target) as device:
        return bench_on(contents, device, settings or BenchSettings(), on_progress)


def bench_on(
    contents: ModelFile, device: Device, settings: BenchSettings, on_progress: OnProgress
) -> Measurement:
    """Measure a .tflite on a board that is connected already; see `bench`."""
    admit(contents, device)
    kernel_class = device.prepare_runtime(settings.wheelhouse, on_progress)
    staged = device.push(contents.path, on_progress)
    parity = _parity(contents, device, staged, on_progress)
    threads = settings.threads or tuple(range(1, int(device.facts["cores"]) + 1))
    return Measurement(
        target=device.target.name,
        place=place_of(device.target),
        model=contents.path,
        model_sha256=contents.sha256,
        facts=dict(device.facts),
        kernel_class=kernel_class,
        staged=staged,
        parity=parity,
        settings=settings,
        rows=tuple(_row(device, staged, count, settings, on_progress) for count in threads),
    )


def place_of(target: Target) -> str:
    """Say where a target is, so that nobody takes this computer for a board."""
    if target.is_local:
        return "this computer"
    if target.ssh_address.host.startswith(_LOOPBACK):
        return "this computer over SSH"
    return f"{target.name} ({target.address})"


def one_process(threads: int, duration_s: float, seed: int = 0) -> RunSettings:
    """Return how one fresh process measures for `duration_s`."""
    return RunSettings(threads, min(LONGEST_WARMUP_S, duration_s), duration_s, seed)


def _row(
    device: Device,
    staged: Staged,
    threads: int,
    settings: BenchSettings,
    on_progress: OnProgress,
) -> Row:
    runs: list[BoardRun] = []
    what = f"measure with {threads} thread{'s' if threads > 1 else ''}"
    one = one_process(threads, settings.duration_s / PROCESSES)
    for number in range(PROCESSES):
        on_progress(what, number, PROCESSES)
        runs.append(device.benchmark(staged, one))
    on_progress(what, PROCESSES, PROCESSES)
    figure = latency([run.samples_ns for run in runs])
    whole = latency([run.end_to_end_ns for run in runs])
    return Row(threads, figure, whole, judge(device.facts, runs, figure), tuple(runs))


def _parity(contents: ModelFile, device: Device, staged: Staged, on_progress: OnProgress) -> Parity:
    golden = _golden(contents)
    inputs = golden.inputs if golden else _random_inputs(contents)
    on_progress("infer on this host", 0, 0)
    host_outputs = run_isolated(
        contents.path, inputs, lambda done, total: on_progress("infer on this host", done, total)
    )
    name, version = host_runtime()
    host = KernelClass(platform.machine(), name, version)
    board, board_outputs = device.infer(staged, inputs, on_progress=on_progress)
    return compare(
        (host, host_outputs),
        (board, board_outputs),
        golden.labels if golden else None,
        golden is not None,
        _threshold_steps(contents, golden),
    )


def _golden(contents: ModelFile) -> Golden | None:
    """Return the held-out inputs beside the file, if they were made for it."""
    path = contents.path.parent / GOLDEN_NAME
    if not path.is_file():
        return None
    golden = read_golden(path)
    return golden if golden.model_sha256 == contents.sha256 else None


def _threshold_steps(contents: ModelFile, golden: Golden | None) -> float | None:
    """Return the threshold of a single output in the steps of its type, where it is known."""
    if golden is None or golden.threshold is None:
        return None
    (output,) = contents.outputs
    if output.scale is None or output.zero_point is None:
        return golden.threshold
    return golden.threshold / output.scale + output.zero_point


def _random_inputs(contents: ModelFile) -> dict[str, np.ndarray[Any, Any]]:
    random = np.random.default_rng(0)
    inputs = {}
    for spec in contents.inputs:
        # An open batch (-1 in front) is 1 until somebody resizes it, and nobody does.
        inner = spec.shape[1:] if spec.shape[:1] in ((1,), (-1,)) else spec.shape
        if any(size < 1 for size in inner):
            raise ToolkitError(
                f"{contents.path}: input {spec.name} has the open shape {list(spec.shape)}",
                "Export the model with fixed sizes.",
            )
        shape = (RANDOM_SAMPLES, *inner)
        kind = np.dtype(spec.dtype)
        if kind.kind == "f":
            inputs[spec.name] = random.uniform(-1, 1, shape).astype(kind)
        elif kind.kind == "b":
            inputs[spec.name] = random.integers(0, 2, shape).astype(kind)
        else:
            limits = np.iinfo(kind)
            inputs[spec.name] = random.integers(limits.min, limits.max, shape, dtype=kind)
    return inputs
