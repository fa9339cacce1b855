"""Conversions of the ResNet-8 that was trained in PyTorch: a part of benchmarks/doors.py."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.doors_resnet8 import WEIGHTS, WORK, save_program, train
from converters.evidence.conversion import CONVERSION_NAME, Conversion, read_conversion
from converters.process import convert
from converters.progress import Progress
from converters.request import ConversionRequest
from targets.inventory import Target
from targets.progress import no_progress
from targets.provision import open_device
from toolkit.measure.compare import interleave
from toolkit.measure.host_latency import measure_on
from toolkit.measure.rows import one_process

_DATA = Path(__file__).parent / "doors_resnet8:load"
_QAT = """
[[step]]
kind = "qat_w8a8"
epochs = 2
learning_rate = 3e-5
batch_size = 64
"""
#: The recipe of "2x fewer MACs, kedge" of benchmarks/compression.py, whose model is from Keras.
_CHANNELS = """
[[step]]
kind = "blocks"
macs_ratio = 0.65

[[step]]
kind = "channels"
macs_ratio = 0.78
scope = "sensitivity"
multiple = 16

[[step]]
kind = "distill"
epochs = 32
learning_rate = 5e-3
batch_size = 128
augment = "flip_shift"
temperature = 4.0
alpha = 0.9
"""
#: Name of each conversion to its recipe.
RECIPES = {
    "ptq_w8a8": 'schema = 1\n[[step]]\nkind = "ptq_w8a8"\n',
    "qat_w8a8": "schema = 1\n" + _QAT,
    "channels50": "schema = 1\n" + _CHANNELS + _QAT + 'teacher = "original"\n',
}
ROUNDS = 12
PROCESS_S = 0.25
_LATENCY = WORK / "latency.json"


@dataclass(frozen=True)
class Trained:
    """Conversions of the network, and how fast their files are."""

    conversions: dict[str, Conversion]
    """Name of each conversion to what came of it."""
    latency_us: dict[str, list[float]]
    """Name of each conversion to the medians of fresh processes, microseconds, round by round."""
    load: tuple[float, ...]
    """Load average of the computer before and after the latencies were measured."""


def measure_trained(end_s: float) -> Trained:
    """Convert and measure what is missing and is begun before `end_s` of the monotonic clock."""
    done = conversions(end_s) if time.monotonic() < end_s else finished_conversions()
    stored = _LATENCY.is_file() and json.loads(_LATENCY.read_text(encoding="utf-8"))
    if (not stored or set(stored["us"]) != set(done)) and done and time.monotonic() < end_s:
        measure_latency(done)
        stored = json.loads(_LATENCY.read_text(encoding="utf-8"))
    if not stored:
        return Trained(done, {}, ())
    return Trained(done, stored["us"], tuple(stored["load"]))


def measure_latency(done: Mapping[str, Conversion]) -> None:
    """Measure the files of conversions in turn, and keep the result."""
    load = os.getloadavg()[0]
    with open_device(Target("here", "local", root=str(WORK / "board"))) as device:
        device.prepare_runtime("tflite")
        staged = [device.push(conversion.model) for conversion in done.values()]
        runs = interleave(device, staged, one_process(1, PROCESS_S), ROUNDS, no_progress)
    latency_us = {
        name: [median(run.samples_ns) / 1e3 for run in of_file]
        for name, of_file in zip(done, runs, strict=True)
    }
    result = {"us": latency_us, "load": [load, os.getloadavg()[0]]}
    _LATENCY.write_text(json.dumps(result), encoding="utf-8")


def conversions(end_s: float) -> dict[str, Conversion]:
    """All conversions that are there, or are begun before `end_s` of the monotonic clock."""
    if not WEIGHTS.is_file():
        train()
    program = WORK / "resnet8.pt2"
    if not program.is_file():
        save_program(program)
    for name, recipe in RECIPES.items():
        path = WORK / f"{name}.toml"
        is_done = (WORK / name / CONVERSION_NAME).is_file() and path.is_file()
        if is_done and path.read_text(encoding="utf-8") == recipe:
            continue
        if time.monotonic() < end_s:
            path.write_text(recipe, encoding="utf-8")
            convert_one(name)
    return finished_conversions()


def finished_conversions() -> dict[str, Conversion]:
    """All conversions that are there."""
    return {
        name: read_conversion(WORK / name)
        for name in RECIPES
        if (WORK / name / CONVERSION_NAME).is_file()
    }


def convert_one(name: str) -> None:
    """Do one conversion; finished steps are kept."""
    began, shown = time.monotonic(), [0.0]

    def show(progress: Progress) -> None:
        if time.monotonic() - shown[0] > 30:
            shown[0] = time.monotonic()
            done = f"{progress.stage} {progress.done}/{progress.total} {progress.detail}"
            sys.stdout.write(f"   {name}: {done}\n")
            sys.stdout.flush()

    request = ConversionRequest(
        WORK / "resnet8.pt2", _DATA, str(WORK / f"{name}.toml"), WORK / name, cache=WORK / "steps"
    )
    convert(request, show, measure_on())
    sys.stdout.write(f"   {name}: {time.monotonic() - began:.0f} s\n")


if __name__ == "__main__":
    (WORK / f"{sys.argv[1]}.toml").write_text(RECIPES[sys.argv[1]], encoding="utf-8")
    convert_one(sys.argv[1])
