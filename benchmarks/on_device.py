"""Whether the figures of `kedge bench` are those of a bare loop, and what the agent costs.

    python -m benchmarks.on_device [--fast]

Writes benchmarks/results/on_device.md; takes five minutes, and a quiet machine. `--fast` only tries
whether all of it works: few rounds, nothing written. Every comparison runs its sides in turn, in
one run. Three things are compared on the same file, with one thread, on this computer:
    kedge            the median of `invoke` as the agent measures it
    bare loop        `invoke` timed in a fresh process, and nothing else
    litert-benchmark the program that ai-edge-litert ships (it times CompiledModel.run)
Uploads go to a loopback OpenSSH server: through the agent, through the same agent without its fsync
(started by a line of Python that replaces it, for the measurement only), and with scp.
How long the agent takes to its first reply is measured by benchmarks.startup.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from math import comb
from pathlib import Path
from statistics import median

from benchmarks.machine import machine
from benchmarks.memory import memory_table
from benchmarks.upload import upload_table
from converters.process import convert
from converters.request import ConversionRequest
from targets.device import Device, Staged
from targets.execution import Execution
from targets.inventory import Target
from targets.provision import open_device
from toolkit.demo.sshd import start_sshd
from toolkit.row import one_process

#: Odd, so that a median is one of the ratios.
ROUNDS = 11
FAST_ROUNDS = 3
SECONDS = 0.5

#: How far the median of kedge may be from the others'.
TOLERANCE = 0.03
#: litert-benchmark writes milliseconds with two decimals.
LITERT_STEP_US = 10
RESULT = Path(__file__).parent / "results" / "on_device.md"
SHARED = Path(__file__).resolve().parents[2] / "shared" / "models"
MIDDLE_MODEL = SHARED / "mlperf_tiny_ic_fp32.tflite"

#: 0.34 G multiply-adds: about 10 ms on one core of a desktop.
_LARGE = """
import sys
import tensorflow as tf
tf.keras.utils.set_random_seed(0)
layers = [tf.keras.layers.Conv2D(64, 3, padding="same", activation="relu") for _ in range(3)]
model = tf.keras.Sequential([tf.keras.Input((64, 64, 16), 1), *layers])
content = tf.lite.TFLiteConverter.from_keras_model(model).convert()
open(sys.argv[1], "wb").write(content)
"""

_BARE = """
import sys, time, statistics, numpy
from ai_edge_litert.interpreter import Interpreter
model, seconds = sys.argv[1], float(sys.argv[2])
it = Interpreter(model_path=model, num_threads=1)
it.allocate_tensors()
for d in it.get_input_details():
    it.set_tensor(d["index"], numpy.zeros(d["shape"], d["dtype"]))
for phase in range(2):
    samples, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        before = time.perf_counter_ns()
        it.invoke()
        samples.append(time.perf_counter_ns() - before)
print(statistics.median(samples) / 1e3)
"""


def main(arguments: list[str]) -> None:
    """Measure, print, and write the tables unless it was only a trial."""
    is_fast = "--fast" in arguments
    rounds = FAST_ROUNDS if is_fast else ROUNDS
    if not MIDDLE_MODEL.is_file():
        sys.exit(f"missing: {MIDDLE_MODEL}")
    lines = ["# On the board", "", machine(), ""]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = Execution(runtime="board:ai-edge-litert", python=sys.executable)
        target = Target("here", "local", root=name + "/root", execution=own)
        models = (_digits(folder), MIDDLE_MODEL, _large(folder))
        with open_device(target) as device:
            device.prepare_runtime()
            lines += _latency_table(device, models, rounds)
            lines += memory_table(device, MIDDLE_MODEL, folder, min(rounds, 5))
        with start_sshd(folder / "sshd") as sshd:
            lines += upload_table(sshd, folder, rounds)
    text = "\n".join(lines) + "\n"
    if not is_fast:
        RESULT.write_text(text, encoding="utf-8")
    print(text)


def _large(folder: Path) -> Path:
    """Make a model in which what surrounds a run counts for nothing."""
    path = folder / "convolutions_fp32.tflite"
    subprocess.run([sys.executable, "-c", _LARGE, str(path)], check=True, capture_output=True)
    return path


def _digits(folder: Path) -> Path:
    """Train and convert the demo's model: so fast that a microsecond of ours would show."""
    train = [sys.executable, "-m", "converters.digits_cnn", "--out", str(folder), "--epochs", "2"]
    subprocess.run(train, check=True, capture_output=True)
    model, data = folder / "digits.keras", folder / "digits.npz"
    request = ConversionRequest(model, data, "ptq_w8a8", folder / "digits_int8")
    return convert(request).model


def _latency_table(device: Device, models: tuple[Path, ...], rounds: int) -> list[str]:
    lines = ["## Latency", ""]
    lines += [f"Medians of {rounds} fresh processes each, in turn; microseconds, one thread.", ""]
    lines += ["| model | kedge | bare loop | litert-benchmark | kedge / bare | kedge / litert |"]
    lines += ["|---|---|---|---|---|---|"]
    for path in models:
        staged = device.push(path)

        def by_kedge(staged: Staged = staged) -> float:
            run = device.benchmark(staged, one_process(1, SECONDS))
            return median(run.samples_ns) / 1e3

        estimate = _bare(path)
        seen: dict[str, list[float]] = {"kedge": [], "bare": [], "litert": []}
        for number in range(rounds):
            sides: list[tuple[str, Callable[[], float]]] = [
                ("kedge", by_kedge),
                ("bare", partial(_bare, path)),
                ("litert", partial(_litert_benchmark, path, estimate)),
            ]
            turn = number % 3  # a drift of the machine hits each side alike
            for name, measure in sides[turn:] + sides[:turn]:
                seen[name].append(measure())
        ratios = [_ratio(seen["kedge"], seen["bare"])]
        if TOLERANCE * median(seen["litert"]) >= LITERT_STEP_US:
            ratios.append(_ratio(seen["kedge"], seen["litert"]))
        else:
            ratios.append(f"cannot tell: it reports in steps of {LITERT_STEP_US} us")
        cells = [f"{median(values):.1f}" for values in seen.values()] + ratios
        name = path.parent.name if path.stem == "model" else path.stem
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "A ratio is the median of the ratios round by round, with the 95 % interval of that",
    ]
    lines += [f"median. The aim is within {TOLERANCE:.0%} of 1; an interval that is partly outside"]
    return [*lines, "does not settle it.", ""]


def _ratio(ours: list[float], theirs: list[float]) -> str:
    ratios = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    low, high = _interval(ratios)
    inside = [abs(end - 1) <= TOLERANCE for end in (low, high)]
    met = (
        "met"
        if all(inside)
        else "not settled"
        if low <= 1 + TOLERANCE and high >= 1 - TOLERANCE
        else "NOT met"
    )
    return f"{median(ratios):.3f} ({low:.3f} to {high:.3f}), {met}"


def _interval(values: list[float]) -> tuple[float, float]:
    """The narrowest pair of order statistics that encloses the median with 95 %; `values` sorted.

    The number of values below the median is binomial(n, 1/2).
    """
    count, tail, left_out = len(values), 0.0, 0
    while tail + comb(count, left_out) / 2**count <= 0.025:
        tail += comb(count, left_out) / 2**count
        left_out += 1
    at = max(0, left_out - 1)
    return values[at], values[-1 - at]


def _bare(path: Path) -> float:
    command = [sys.executable, "-c", _BARE, str(path), str(SECONDS)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _litert_benchmark(path: Path, estimate_us: float) -> float:
    """Run it long enough for the same seconds; it counts runs, not time."""
    runs = max(20, int(SECONDS * 1e6 / max(5.0, estimate_us)))
    with tempfile.NamedTemporaryFile(suffix=".json") as result:
        program = Path(sys.executable).with_name("litert-benchmark")
        command = [str(program), "--model", str(path), "--num_threads", "1"]
        command += ["--warmup_runs", str(runs), "--num_runs", str(runs)]
        command += ["--result_json", result.name]
        subprocess.run(command, check=True, capture_output=True)
        found = json.loads(Path(result.name).read_text(encoding="utf-8"))
    return float(found["latency"]["median_ms"]) * 1e3


if __name__ == "__main__":
    main(sys.argv[1:])
