"""Whether the figures of `kedge bench` are those of a bare loop, and what the agent costs.

    python -m benchmarks.on_device

Writes benchmarks/results/on_device.md. Every comparison runs its sides in turn, in one run. Three
things are compared on the same file, with one thread, on this computer:
    kedge            the median of `invoke` as the agent measures it, and its end-to-end median
    bare loop        set_tensor, invoke, get_tensor in a fresh process, `invoke` timed
    litert-benchmark the program that ai-edge-litert ships (it times CompiledModel.run)
Uploads go to a loopback OpenSSH server: through the agent, and with scp.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.machine import machine
from converters.process import convert
from converters.request import ConversionRequest
from targets.device import Device
from targets.inventory import Target
from targets.provision import open_device
from toolkit.bench import one_process
from toolkit.demo.sshd import LoopbackSshd, start_sshd

ROUNDS = 7
SECONDS = 0.5
#: litert-benchmark writes milliseconds with two decimals.
LITERT_STEP_US = 10
UPLOAD_BYTES = 60 * 10**6
RESULT = Path(__file__).parent / "results" / "on_device.md"
SHARED = Path(__file__).resolve().parents[2] / "shared" / "models"
MODELS = (
    SHARED / "mlperf_tiny_ic_fp32.tflite",
    SHARED / "deeplabv3_mnv2_dm05_pascal_quant.tflite",
)

_BARE = """
import sys, time, statistics, numpy
from ai_edge_litert.interpreter import Interpreter
model, seconds = sys.argv[1], float(sys.argv[2])
it = Interpreter(model_path=model, num_threads=1)
it.allocate_tensors()
ins = [(d["index"], numpy.zeros(d["shape"], d["dtype"])) for d in it.get_input_details()]
outs = [d["index"] for d in it.get_output_details()]
for phase in range(2):
    samples, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        for index, value in ins:
            it.set_tensor(index, value)
        before = time.perf_counter_ns()
        it.invoke()
        samples.append(time.perf_counter_ns() - before)
        for index in outs:
            it.get_tensor(index)
print(statistics.median(samples) / 1e3)
"""


def main() -> None:
    """Measure, print and write the tables."""
    missing = [str(path) for path in MODELS if not path.is_file()]
    if missing:
        sys.exit(f"missing: {', '.join(missing)}")
    lines = ["# On the board", "", machine(), ""]
    with tempfile.TemporaryDirectory() as folder:
        target = Target("here", "local", root=folder + "/root")
        with open_device(target) as device:
            device.prepare_runtime()
            lines += _latency_table(device, (_digits(Path(folder)), *MODELS))
        with start_sshd(Path(folder) / "sshd") as sshd:
            lines += _upload_table(sshd, Path(folder))
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(RESULT.read_text(encoding="utf-8"))


def _digits(folder: Path) -> Path:
    """Train and convert the demo's model: so fast that a microsecond of ours would show."""
    train = [sys.executable, "-m", "converters.digits_cnn", "--out", str(folder), "--epochs", "2"]
    subprocess.run(train, check=True, capture_output=True)
    model, data = folder / "digits.keras", folder / "digits.npz"
    request = ConversionRequest(model, data, "ptq_w8a8", folder / "digits_int8")
    return convert(request).model


def _latency_table(device: Device, models: tuple[Path, ...]) -> list[str]:
    lines = ["## Latency", ""]
    lines += [f"Medians of {ROUNDS} fresh processes each, in turn; microseconds, one thread.", ""]
    lines += ["| model | kedge | bare loop | litert-benchmark | kedge / bare | kedge / litert |"]
    lines += ["|---|---|---|---|---|---|"]
    for path in models:
        staged = device.push(path)

        def by_kedge(staged=staged) -> float:  # type: ignore[no-untyped-def]
            run = device.benchmark(staged, one_process(1, SECONDS))
            return median(run.samples_ns) / 1e3

        subjects: dict[str, Callable[[], float]] = {
            "kedge": by_kedge,
            "bare": lambda path=path: _bare(path),  # type: ignore[misc]
            "litert": lambda path=path: _litert_benchmark(path),  # type: ignore[misc]
        }
        seen: dict[str, list[float]] = {name: [] for name in subjects}
        for _ in range(ROUNDS):
            for name, subject in subjects.items():
                seen[name].append(subject())
        middle = {name: median(values) for name, values in seen.items()}
        ratios = [_ratio(seen["kedge"], seen["bare"])]
        if middle["litert"] >= LITERT_STEP_US / 0.01:
            ratios.append(_ratio(seen["kedge"], seen["litert"]))
        else:
            ratios.append(f"cannot tell: it reports in steps of {LITERT_STEP_US} us")
        cells = [f"{middle[name]:.1f}" for name in subjects] + ratios
        name = path.parent.name if path.stem == "model" else path.stem
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += ["", "The ratio is the median of the ratios round by round, with their range; the aim"]
    return [*lines, "is within 3 % of 1.", ""]


def _ratio(ours: list[float], theirs: list[float]) -> str:
    ratios = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    met = "met" if abs(median(ratios) - 1) <= 0.03 else "NOT met"
    return f"{median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f}), {met}"


def _bare(path: Path) -> float:
    command = [sys.executable, "-c", _BARE, str(path), str(SECONDS)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _litert_benchmark(path: Path) -> float:
    """Run it long enough for the same seconds; it counts runs, not time."""
    runs = max(50, int(SECONDS * 1e6 / max(5.0, _bare_estimate(path))))
    with tempfile.NamedTemporaryFile(suffix=".json") as result:
        program = Path(sys.executable).with_name("litert-benchmark")
        command = [str(program), "--model", str(path), "--num_threads", "1"]
        command += ["--warmup_runs", str(runs), "--num_runs", str(runs)]
        command += ["--result_json", result.name]
        subprocess.run(command, check=True, capture_output=True)
        found = json.loads(Path(result.name).read_text(encoding="utf-8"))
    return float(found["latency"]["median_ms"]) * 1e3


_estimates: dict[Path, float] = {}


def _bare_estimate(path: Path) -> float:
    if path not in _estimates:
        _estimates[path] = _bare(path)
    return _estimates[path]


def _upload_table(sshd: LoopbackSshd, folder: Path) -> list[str]:
    payload = os.urandom(UPLOAD_BYTES)
    file = folder / "payload"
    target = Target(
        "ssh",
        sshd.address,
        host_key=sshd.host_key_fingerprint,
        host_key_type=sshd.host_key_type,
        identity=sshd.identity,
        root=str(folder / "ssh-root"),
    )
    known_hosts = folder / "known_hosts"
    known_hosts.write_text(sshd.known_hosts + "\n", encoding="utf-8")
    seconds: dict[str, list[float]] = {"agent": [], "scp": []}
    for number in range(ROUNDS):
        file.write_bytes(number.to_bytes(4, "big") + payload[4:])
        seconds["agent"].append(_by_agent(target, file))
        seconds["scp"].append(_by_scp(sshd, file, known_hosts, folder / f"copied-{number}"))
    second_push = _second_push_bytes(target, file)
    rates = {name: UPLOAD_BYTES / 1e6 / median(values) for name, values in seconds.items()}
    ratio = median(b / a for a, b in zip(seconds["agent"], seconds["scp"], strict=True))
    return [
        "## Upload of 60 MB over loopback SSH",
        "",
        "| agent, hashed and fsynced | scp | agent / scp | aim |",
        "|---|---|---|---|",
        f"| {rates['agent']:.0f} MB/s | {rates['scp']:.0f} MB/s | {ratio:.2f} | "
        f"0.6, {'met' if ratio >= 0.6 else 'NOT met'} |",
        "",
        f"A second push of the same file sends {second_push} bytes (aim: under 4096).",
    ]


def _by_agent(target: Target, file: Path) -> float:
    with open_device(target) as device:
        started = time.perf_counter()
        device.push(file)
        return time.perf_counter() - started


def _second_push_bytes(target: Target, file: Path) -> int:
    with open_device(target) as device:
        return device.push(file).sent_bytes


def _by_scp(sshd: LoopbackSshd, file: Path, known_hosts: Path, to: Path) -> float:
    command = ["scp", "-q", "-P", str(sshd.port), "-i", str(sshd.identity)]
    command += ["-o", f"UserKnownHostsFile={known_hosts}", "-o", "BatchMode=yes"]
    started = time.perf_counter()
    subprocess.run([*command, str(file), f"{sshd.user}@{sshd.host}:{to}"], check=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
