"""LiteRT beside ONNX Runtime on one int8 network, and the agent's loop beside a bare one.

python -m benchmarks.doors_runtimes MODEL.onnx PAIRS   # ratio of each pair of blocks, as JSON
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.doors_resnet8 import WORK
from converters.onnx.write.file import onnx_of_tflite
from device_agent.job_fields import Job
from device_agent.runtimes.driver import import_driver
from device_agent.timing.benchmark import time_calls
from targets.inventory import Target
from targets.provision import open_device
from toolkit.measure.rows import one_process

ROUNDS = 15
PAIRS = 201
PROCESS_S = 0.3
BLOCK_S = 0.05


@dataclass(frozen=True)
class Pair:
    """One network on two runtimes."""

    versions: tuple[str, str]
    """Names and versions of LiteRT and of ONNX Runtime."""
    litert_us: tuple[float, ...]
    """Median of each process with LiteRT, microseconds."""
    onnx_us: tuple[float, ...]
    """Median of each process with ONNX Runtime, in the rounds of `litert_us`."""
    loop_ratios: tuple[float, ...]
    """Median of the agent's loop by that of a bare loop, pair by pair."""
    load: tuple[float, ...]
    """Load average of the computer before and after."""


def run_pair(end_s: float) -> Pair | None:
    """Measure, unless it is done or `end_s` of the monotonic clock is over."""
    stored, model = WORK / "runtimes.json", WORK / "qat_w8a8" / "model.tflite"
    if stored.is_file():
        plain = json.loads(stored.read_text(encoding="utf-8"))
        return Pair(**{name: tuple(values) for name, values in plain.items()})
    if time.monotonic() > end_s or not model.is_file():
        return None
    return measure_pair()


def measure_pair() -> Pair:
    """Measure the network of qat_w8a8, and keep the result."""
    stored, model = WORK / "runtimes.json", WORK / "qat_w8a8" / "model.tflite"
    onnx = WORK / "resnet8_qat.onnx"
    onnx.write_bytes(onnx_of_tflite(model.read_bytes()))
    pair = _in_turn(model, onnx)
    stored.write_text(json.dumps(asdict(pair)), encoding="utf-8")
    return pair


def _in_turn(tflite: Path, onnx: Path) -> Pair:
    medians: dict[str, list[float]] = {"tflite": [], "onnx": []}
    versions = {}
    files, load = {"tflite": tflite, "onnx": onnx}, os.getloadavg()[0]
    with open_device(Target("here", "local", root=str(WORK / "board"))) as device:
        for number in range(ROUNDS):
            order = list(files) if number % 2 else list(reversed(files))
            for name in order:
                kernels = device.prepare_runtime(name)
                staged = device.push(files[name])
                run = device.jobs.benchmark(staged, one_process(1, PROCESS_S, number))
                medians[name].append(median(run.samples_ns) / 1e3)
                versions[name] = f"{kernels.runtime} {kernels.version}"
    command = [sys.executable, "-m", "benchmarks.doors_runtimes", str(onnx), str(PAIRS)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Pair(
        (versions["tflite"], versions["onnx"]),
        tuple(medians["tflite"]),
        tuple(medians["onnx"]),
        tuple(json.loads(done.stdout)),
        (load, os.getloadavg()[0]),
    )


def _bare_session(path: str) -> tuple[Any, Any]:
    """A session on one thread, its inputs and outputs bound once."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    dtypes = {"tensor(uint8)": "uint8", "tensor(int8)": "int8", "tensor(float)": "float32"}
    for entry in session.get_inputs():
        values = np.zeros(entry.shape, dtypes[entry.type])
        binding.bind_ortvalue_input(entry.name, onnxruntime.OrtValue.ortvalue_from_numpy(values))
    for entry in session.get_outputs():
        values = np.zeros(entry.shape, dtypes[entry.type])
        binding.bind_ortvalue_output(entry.name, onnxruntime.OrtValue.ortvalue_from_numpy(values))
    return session, binding


def _loop_ratios(path: str, pairs: int) -> list[float]:
    model = import_driver(Job(kind="benchmark", runtime="onnxruntime", model=path)).open(path, 1)
    model.prepare()
    session, binding = _bare_session(path)
    call = model.run

    def ours() -> float:
        return median(time_calls(call, 0.0, BLOCK_S).samples_ns) / 1e3

    def bare() -> float:
        samples = []
        end = time.perf_counter() + BLOCK_S
        while time.perf_counter() < end:
            before = time.perf_counter_ns()
            session.run_with_iobinding(binding)
            samples.append(time.perf_counter_ns() - before)
        return median(samples) / 1e3

    gc.disable()
    bare(), ours()  # warms up
    ratios = []
    for pair in range(pairs):
        if pair % 2:
            second, first = bare(), ours()
        else:
            first, second = ours(), bare()
        ratios.append(first / second)
    return ratios


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_loop_ratios(sys.argv[1], int(sys.argv[2]))) + "\n")
