"""Whether the figures of `kedge bench` are those of a bare loop, and what the agent costs.

    python -m benchmarks.on_device [--fast]

Writes benchmarks/results/on_device.md; takes ten minutes, and a quiet machine. `--fast` only
tries whether all of it works: few rounds, nothing written. Every comparison runs its sides in turn,
in one run. Three things are compared on the same file, with one thread, on this computer; each is a
fresh process that warms up as long as it measures, and each round draws its order anew:
    kedge            the median of `invoke` as the agent measures it
    bare loop        set_tensor, invoke, get_tensor; `invoke` alone is timed
    litert-benchmark the program that ai-edge-litert ships (it times CompiledModel.run_by_name)
Uploads go to a loopback OpenSSH server: through the agent, through the same agent without its fsync
(started by a line of Python that replaces it, for the measurement only), and with scp.
What the timing loop alone adds is told by benchmarks.timing_loop, in one process.
How long the agent takes to its first reply is measured by benchmarks.startup.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.machine import machine
from benchmarks.memory import memory_table
from benchmarks.ratio import told
from benchmarks.timing_loop import FAST_PAIRS, PAIRS, loop_table
from benchmarks.upload import upload_table
from converters.process import convert
from converters.request import ConversionRequest
from targets.device import Device
from targets.execution import Execution
from targets.inventory import Target
from targets.provision import open_device
from toolkit.demo.sshd import start_sshd
from toolkit.measure.compare import draw_order
from toolkit.measure.rows import one_process

#: Odd, so that a median is one of the ratios. Of 41 the interval of the median leaves out 13 on
#: each side: a process that the machine disturbed does not decide.
LATENCY_ROUNDS = 41
UPLOAD_ROUNDS = 11
MEMORY_ROUNDS = 5
FAST_ROUNDS = 3

#: Each process of the latency part warms up for so long, and is timed for so long.
SECONDS = 0.3

#: How far the median of kedge may be from the others'.
TOLERANCE = 0.03
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

#: The program as it is, but for the two decimals of a millisecond that it would round to.
_LITERT = """
from ai_edge_litert.tools import benchmark_litert_model as program
program.round = lambda value, digits: value
program.main()
"""


def main(arguments: list[str]) -> None:
    """Measure, print, and write the tables unless it was only a trial."""
    is_fast = "--fast" in arguments

    def rounds(wanted: int) -> int:
        return FAST_ROUNDS if is_fast else wanted

    if not MIDDLE_MODEL.is_file():
        sys.exit(f"missing: {MIDDLE_MODEL}, MLPerf Tiny's image classifier as a float .tflite")
    lines = ["# On the board", "", machine(), ""]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = Execution(runtime="board:ai-edge-litert", python=sys.executable)
        target = Target("here", "local", root=name + "/root", execution=own)
        models = (_digits(folder), MIDDLE_MODEL, _large(folder))
        with open_device(target) as device:
            device.prepare_runtime("tflite")
            lines += _latency_table(device, models, rounds(LATENCY_ROUNDS))
            lines += loop_table(models, FAST_PAIRS if is_fast else PAIRS, TOLERANCE)
            lines += memory_table(device, MIDDLE_MODEL, folder, rounds(MEMORY_ROUNDS))
        with start_sshd(folder / "sshd") as sshd:
            lines += upload_table(sshd, folder, rounds(UPLOAD_ROUNDS))
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
    lines = [
        "## Latency",
        "",
        f"Medians of {rounds} fresh processes each, in turn; microseconds, one thread.",
        "",
        "| model | kedge | bare loop | litert-benchmark | kedge / bare | kedge / litert |",
        "|---|---|---|---|---|---|",
    ]
    for path in models:
        seen = _in_turn(device, path, rounds)
        name = path.parent.name if path.stem == "model" else path.stem
        cells = [f"{median(values):.1f}" for values in seen.values()]
        cells += [_ratio(seen["kedge"], seen[other]) for other in ("bare", "litert")]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return [
        *lines,
        "",
        "A ratio is the median of the ratios round by round, with the 95 % interval of that",
        f"median. The aim is within {TOLERANCE:.0%} of 1; an interval that is partly outside",
        "does not settle it. litert-benchmark times a call of Python around the model, which takes",
        "about 2 us by itself.",
        "",
    ]


def _in_turn(device: Device, path: Path, rounds: int) -> dict[str, list[float]]:
    """Measure the sides in rounds, each in an order of its own; medians in microseconds."""
    staged = device.push(path)

    def by_kedge() -> float:
        return median(device.jobs.benchmark(staged, one_process(1, SECONDS)).samples_ns) / 1e3

    sides: dict[str, Callable[[], float]] = {
        "kedge": by_kedge,
        "bare": partial(_bare, path),
        "litert": partial(_litert_benchmark, path, _bare(path)),
    }
    names = list(sides)
    seen: dict[str, list[float]] = {name: [] for name in names}
    for position in draw_order(len(names), rounds, seed=0):
        if position == 0:
            print(f"{path.stem}: round {len(seen['kedge']) + 1} of {rounds}", file=sys.stderr)
        seen[names[position]].append(sides[names[position]]())
    return seen


def _ratio(ours: list[float], theirs: list[float]) -> str:
    return told([a / b for a, b in zip(ours, theirs, strict=True)], TOLERANCE)


def _bare(path: Path) -> float:
    command = [sys.executable, "-m", "benchmarks.bare_loop", str(path), str(SECONDS)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _litert_benchmark(path: Path, estimate_us: float) -> float:
    """Run it long enough for the same seconds; it counts runs, not time."""
    runs = max(20, int(SECONDS * 1e6 / max(5.0, estimate_us)))
    with tempfile.NamedTemporaryFile(suffix=".json") as result:
        command = [sys.executable, "-c", _LITERT, "--model", str(path), "--num_threads", "1"]
        command += ["--warmup_runs", str(runs), "--num_runs", str(runs)]
        command += ["--result_json", result.name]
        subprocess.run(command, check=True, capture_output=True)
        found = json.loads(Path(result.name).read_text(encoding="utf-8"))
    return float(found["latency"]["median_ms"]) * 1e3


if __name__ == "__main__":
    main(sys.argv[1:])
