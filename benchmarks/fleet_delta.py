"""Bytes that a new release of a model takes: kedge's deltas beside `zstd --patch-from` and rsync.

    python -m benchmarks.fleet_delta     # minutes: ResNet-8 is fine-tuned for one epoch, twice

Needs `zstd` and `rsync`. Writes benchmarks/results/fleet_delta.md. Each delta is decoded by the
board's own code, and compared with the new file.
"""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.fleet_delta_pairs import (
    BASE,
    DATA,
    EPOCH,
    FROZEN,
    HEAD,
    MODEL,
    SHARED,
    make_pairs,
)
from benchmarks.machine import machine
from device_agent.store.delta import apply_delta
from toolkit.bundle.delta import FULL, Delta, best_delta

ROOT = Path(__file__).resolve().parents[1]
RESULT = Path(__file__).parent / "results" / "fleet_delta.md"
#: Folder of the models, which take minutes to make.
WORK = ROOT / ".cache" / "fleet_delta"

#: Largest share of the better peer's bytes.
AIM = 1.05

#: New files, and what was done to the base.
PAIRS = {
    WORK / EPOCH: "one epoch, quantized anew",
    WORK / FROZEN: "one epoch, quantization parameters frozen",
    WORK / HEAD: "one epoch of the last layer only, quantized anew",
    SHARED / "models" / "mlperf_tiny_ic_int8.tflite": "16 epochs back: the MLPerf Tiny reference "
    "file, from whose weights the base was fine-tuned",
}
#: File of another network.
OTHER = SHARED / "models" / "mobilenet_v1_0.25_128_quant.tflite"

_SENT = re.compile(r"Total bytes sent: ([\d,]+)")


def main() -> None:
    """Make the models, measure, write the table."""
    missing = [name for name in ("zstd", "rsync") if shutil.which(name) is None]
    missing += [str(path) for path in (MODEL, DATA) if not path.exists()]
    if missing:
        sys.exit(f"missing: {', '.join(missing)}")
    make_pairs(WORK)
    base = WORK / BASE
    measurements = [_measure(base, target, words) for target, words in PAIRS.items()]
    other, ratio, note = _measure(base, OTHER, "another network: MobileNet v1 0.25")
    ratios = [entry[1] for entry in measurements]
    lines = [*_head(), *(entry[0] for entry in measurements), other, "", *_verdict(ratios)]
    lines += ["", f"What kedge says of the last row ({ratio:.2f}): {note or 'nothing'}"]
    text = "\n".join(lines) + "\n"
    RESULT.write_text(text, encoding="utf-8")
    print(text)


def _measure(base: Path, target: Path, words: str) -> tuple[str, float, str]:
    """Return row of the table, share of the better peer's bytes, and the sentence for people."""
    begin_s = time.perf_counter()
    delta = best_delta(base, target)
    build_s = time.perf_counter() - begin_s
    apply_s = _apply(base, target, delta)
    whole, zstd, rsync = best_delta(None, target).size, _zstd(base, target), _rsync(base, target)
    ratio = delta.size / min(zstd, rsync)
    figures = (target.stat().st_size, whole, zstd, rsync, delta.size)
    cells = [words, *(f"{figure:,}" for figure in figures), delta.algorithm, f"{ratio:.2f}"]
    cells += [f"{1e3 * build_s:.0f} ms", f"{1e3 * apply_s:.1f} ms"]
    return f"| {' | '.join(cells)} |", ratio, delta.note


def _head() -> list[str]:
    return [
        "# Deltas of releases",
        "",
        machine(),
        "",
        "Bytes to send where a board has the int8 ResNet-8 (CIFAR-10, 78,666 parameters) and is to",
        "get a fine-tuned one. Fine-tuning: Adam, learning rate 0.0001, batches of 64, all 50,000",
        f"training images. zstd {_version('zstd')} with `-19 --long=27 --patch-from`; rsync "
        f"{_version('rsync')}:",
        "the bytes that it sends with `--no-whole-file`, the better of with and without `-z",
        "--zl=19`. Of kedge: the delta alone. The request around it has some 400 bytes.",
        "",
        "| new model | file | kedge, whole (xz) | zstd | rsync | kedge | algorithm | of the better "
        "peer | build | decode |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]


def _verdict(ratios: list[float]) -> list[str]:
    met = "met" if max(ratios) <= AIM else "NOT met"
    return [
        f"Aim: at most {AIM} times the bytes of the better peer, for each fine-tuned pair: {met} "
        f"(worst {max(ratios):.2f}).",
    ]


def _apply(base: Path, target: Path, delta: Delta) -> float:
    """Decode a delta as a board does; return seconds."""
    if delta.algorithm == FULL:
        return 0.0
    out = io.BytesIO()
    new = target.read_bytes()
    with base.open("rb") as old:
        begin_s = time.perf_counter()
        digest = hashlib.sha256(new).hexdigest()
        apply_delta(delta.algorithm, io.BytesIO(delta.content), old, len(new), digest, out.write)
        took_s = time.perf_counter() - begin_s
    assert out.getvalue() == new
    return took_s


def _zstd(base: Path, target: Path) -> int:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "delta"
        command = ["zstd", "-q", "-19", "--long=27", f"--patch-from={base}", str(target)]
        subprocess.run([*command, "-o", str(out)], check=True, capture_output=True)
        return out.stat().st_size


def _rsync(base: Path, target: Path) -> int:
    sizes = []
    for options in ([], ["-z", "--zl=19"]):
        with tempfile.TemporaryDirectory() as folder:
            for name, file in (("old", base), ("new", target)):
                (Path(folder) / name).mkdir()
                shutil.copy(file, Path(folder) / name / "model")
            command = ["rsync", "--no-whole-file", "--ignore-times", "--stats", *options]
            places = [f"{folder}/new/model", f"{folder}/old/model"]
            done = subprocess.run([*command, *places], check=True, capture_output=True, text=True)
            match = _SENT.search(done.stdout)
            assert match is not None
            sizes.append(int(match[1].replace(",", "")))
    return min(sizes)


def _version(program: str) -> str:
    done = subprocess.run([program, "--version"], check=True, capture_output=True, text=True)
    match = re.search(r"v?(\d+\.\d+\.\d+)", done.stdout)
    return match[1] if match else "of an unknown version"


if __name__ == "__main__":
    main()
