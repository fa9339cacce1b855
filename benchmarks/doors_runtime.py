"""The agent's loop around ONNX Runtime, and ONNX Runtime beside LiteRT on the same networks.

    python -m benchmarks.doors_runtime                    # writes results/doors_runtime.md
    python -m benchmarks.doors_runtime MODEL.onnx PAIRS   # ratio of each pair, as JSON

`loop_table` and `runtimes_table` return parts of a table for benchmarks.doors.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.machine import machine
from benchmarks.ratio import told
from converters.formats import read_model_file
from converters.onnx.write.file import onnx_of_tflite
from device_agent.job_fields import Job
from device_agent.runtimes.driver import import_driver
from device_agent.timing.benchmark import time_calls
from targets.execution import Execution
from targets.inventory import Target
from targets.provision import open_device
from toolkit.measure.compare import draw_order
from toolkit.measure.rows import one_process

RESULT = Path(__file__).parent / "results" / "doors_runtime.md"
SHARED = Path(__file__).resolve().parents[2] / "shared" / "models"
NETWORKS = ("mlperf_tiny_ic_int8", "mlperf_tiny_ic_fp32")

PAIRS = 401
BLOCK_SECONDS = 0.05

#: Largest accepted distance of the agent's loop from a bare loop.
TOLERANCE = 0.03

#: Processes of each file in the comparison of runtimes, and seconds of each.
PROCESSES = 31
PROCESS_SECONDS = 0.3


def loop_table(models: Sequence[Path], pairs: int = PAIRS) -> list[str]:
    """Measure the agent's loop and a bare loop with bound inputs and outputs, in one process.

    Args:
        models: The .onnx files.
        pairs: Number of pairs of blocks for each.
    """
    lines = [
        "## The agent's loop around ONNX Runtime",
        "",
        f"The agent's loop and a bare `run_with_iobinding` in one process, {pairs} pairs of blocks",
        f"of {BLOCK_SECONDS * 1e3:.0f} ms, in turn; the median of the ratios of pairs.",
        "",
        "| model | agent's loop / bare loop |",
        "|---|---|",
    ]
    for path in models:
        command = [sys.executable, "-m", "benchmarks.doors_runtime", str(path), str(pairs)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        lines.append(f"| {path.stem} | {told(json.loads(done.stdout), TOLERANCE)} |")
    return [*lines, ""]


def runtimes_table(networks: Sequence[tuple[str, Path, Path]]) -> list[str]:
    """Measure each network on LiteRT and on ONNX Runtime, interleaved by the agent.

    Args:
        networks: Name, .tflite and .onnx of each.
    """
    lines = [
        "## LiteRT and ONNX Runtime on the same network",
        "",
        f"Fresh processes of the agent on this computer, {PROCESSES} of each file in a drawn",
        "order, one thread; medians of their medians. Another CPU has another order.",
        "",
        "| network | LiteRT | ONNX Runtime | ONNX Runtime / LiteRT |",
        "|---|---|---|---|",
    ]
    for name, tflite, onnx in networks:
        medians = _medians_us((tflite, onnx))
        ratios = [other / own for own, other in zip(*medians, strict=True)]
        low, high = np.percentile(ratios, (5, 95))
        lite, ort = (median(values) for values in medians)
        lines.append(
            f"| {name} | {lite:.1f} us | {ort:.1f} us | {median(ratios):.2f} "
            f"(90 % of pairs {low:.2f} to {high:.2f}) |"
        )
    return [*lines, ""]


def _medians_us(files: Sequence[Path]) -> list[list[float]]:
    """Median of each process of each file, in the order of time."""
    medians: list[list[float]] = [[] for _ in files]
    with tempfile.TemporaryDirectory() as folder:
        target = Target("here", "local", root=folder, execution=Execution())
        with open_device(target) as device:
            choices = []
            for path in files:
                model_format = read_model_file(path).format
                device.prepare_runtime(model_format)
                choices.append((device.runtime_for(model_format), device.push(path)))
            settings = one_process(1, PROCESS_SECONDS)
            for position in draw_order(len(files), PROCESSES, seed=0):
                choice, staged = choices[position]
                device.use(choice)
                run = device.jobs.benchmark(staged, settings)
                medians[position].append(float(np.median(np.asarray(run.samples_ns))) / 1e3)
    return medians


class BoundLoop:
    """A model on one thread, with inputs and outputs that are bound once: no code of kedge."""

    def __init__(self, path: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
        self._binding = self.session.io_binding()
        kinds = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8, "tensor(int8)": np.int8}
        random = np.random.default_rng(0)
        for entry in self.session.get_inputs():
            values = random.uniform(-1, 1, entry.shape).astype(kinds[entry.type])
            self._binding.bind_ortvalue_input(
                entry.name, onnxruntime.OrtValue.ortvalue_from_numpy(values)
            )
        for entry in self.session.get_outputs():
            place = onnxruntime.OrtValue.ortvalue_from_shape_and_type(
                entry.shape, kinds[entry.type]
            )
            self._binding.bind_ortvalue_output(entry.name, place)

    def median_us(self, seconds: float) -> float:
        """Run for so long; return the median of one run, microseconds."""
        session, binding, samples = self.session, self._binding, []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            before = time.perf_counter_ns()
            session.run_with_iobinding(binding)
            samples.append(time.perf_counter_ns() - before)
        return median(samples) / 1e3


def _measure(path: str, pairs: int) -> list[float]:
    bare = BoundLoop(path)
    model: Any = import_driver(Job("benchmark", "onnxruntime")).open(path, 1)
    model.prepare()
    run = model.run
    gc.disable()
    bare.median_us(BLOCK_SECONDS)
    ratios = []
    for pair in range(pairs):
        sides: dict[str, float] = {}
        for side in ("agent", "bare") if pair % 2 else ("bare", "agent"):
            if side == "bare":
                sides[side] = bare.median_us(BLOCK_SECONDS)
            else:
                samples = time_calls(run, 0.0, BLOCK_SECONDS).samples_ns
                sides[side] = median(samples) / 1e3
        ratios.append(sides["agent"] / sides["bare"])
    return ratios


def main() -> None:
    """Measure the networks of the shared folder, and write the tables."""
    with tempfile.TemporaryDirectory() as folder:
        networks = []
        for name in NETWORKS:
            tflite = SHARED / f"{name}.tflite"
            onnx = Path(folder) / f"{name}.onnx"
            onnx.write_bytes(onnx_of_tflite(tflite.read_bytes()))
            networks.append((name, tflite, onnx))
        lines = [
            "# ONNX Runtime on this computer",
            "",
            machine(),
            "",
            *runtimes_table(networks),
            *loop_table([onnx for _, _, onnx in networks]),
        ]
    RESULT.write_text("\n".join(lines).rstrip() + "\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.stdout.write(json.dumps(_measure(sys.argv[1], int(sys.argv[2]))) + "\n")
    else:
        main()
