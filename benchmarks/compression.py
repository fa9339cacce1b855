"""What compression costs in accuracy and gives in speed, beside what plain means reach.

    python -m benchmarks.compression           # ResNet-8 on CIFAR-10; about two hours on two cores
    python -m benchmarks.compression --quick   # a small model on the digits; minutes

Writes benchmarks/results/compression.md (`--quick` prints its table only). Every row is one
conversion, judged on all held-out images with the file that ships; a row that is done is not done
again, so that an interrupted run goes on. Latency is measured by the agent on this computer, one
thread, all files in turn. Beside each pruned model stand two baselines with the same epochs: its
own shape trained from scratch, and plain one-shot L1 pruning without a teacher.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path

from benchmarks.compression_rows import Plan, RowRecipe, rows
from benchmarks.compression_table import Figures, right_share, table
from benchmarks.machine import machine
from benchmarks.ptq_time import ptq_times
from converters.evidence.conversion import CONVERSION_NAME, Conversion, read_conversion
from converters.process import convert
from converters.progress import Progress
from converters.request import ConversionRequest
from targets.place import THIS_COMPUTER
from targets.progress import no_progress
from targets.provision import open_device
from toolkit.measure.compare import interleave
from toolkit.measure.host_latency import measure_on
from toolkit.measure.rows import one_process

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
RESULT = Path(__file__).parent / "results" / "compression.md"
#: Rows that are done stay here, and the files that were judged.
WORK = ROOT / ".cache" / "compression"
PROCESS_S = 0.25
#: Conversions: a training of so small a model uses little more than one core.
AT_ONCE = 2

FULL = Plan(
    pruned_epochs=32,
    gently_pruned_epochs=8,
    qat_epochs=2,
    has_blocks=True,
    qat_seeds=(0, 1, 2),
    by_latency=True,
    rounds=12,
    ptq_rounds=3,
)
QUICK = Plan(
    pruned_epochs=1,
    gently_pruned_epochs=1,
    qat_epochs=1,
    has_blocks=False,
    qat_seeds=(0,),
    by_latency=False,
    rounds=6,
    ptq_rounds=1,
)


@dataclass(frozen=True)
class Subject:
    """The model and the data that are compressed."""

    name: str
    model: Path
    data: Path
    inherited_epochs: str
    """What it was trained for before, in words."""


def main() -> None:
    """Convert what is missing, measure all, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="small model, few epochs")
    parser.add_argument("--minutes", type=float, help="begin no row after these; the next run will")
    options = parser.parse_args()
    if options.quick:
        with tempfile.TemporaryDirectory() as folder:
            print(run(_digits(Path(folder)), QUICK, Path(folder) / "rows", inf))
        return
    subject = Subject(
        "ResNet-8 on CIFAR-10",
        SHARED / "models" / "resnet8_cifar10.h5",
        SHARED / "data" / "cifar10.tar.gz",
        "its author's (500 in MLPerf Tiny's reference training), and 16 on these images",
    )
    missing = [str(path) for path in (subject.model, subject.data) if not path.exists()]
    if missing:
        sys.exit(f"missing: {', '.join(missing)}")
    text = run(subject, FULL, WORK, options.minutes or inf)
    RESULT.write_text(text, encoding="utf-8")
    print(text)


def run(subject: Subject, plan: Plan, work: Path, minutes: float) -> str:
    """Make every row that is not there yet; return the table of all that are.

    Raises:
        ConversionError: A row cannot be made.
    """
    work.mkdir(parents=True, exist_ok=True)
    made = _made(subject, plan, work, time.monotonic() + 60 * minutes)
    times = ptq_times(subject.model, subject.data, work, plan.ptq_rounds)
    figures = Figures(
        rows=tuple(made.items()),
        latency_us=_latency_us(list(made.values()), plan.rounds),
        ptq_seconds=times,
    )
    left = [row.name for row in rows(plan) if row not in made]
    lines = [f"# Compression: {subject.name}", "", machine(), "", *table(figures, subject.data)]
    lines += ["", f"Epochs that every row but scratch inherits: {subject.inherited_epochs}."]
    if left:
        lines += ["", f"Not run yet: {'; '.join(left)}."]
    return "\n".join(lines) + "\n"


def _digits(folder: Path) -> Subject:
    train = [sys.executable, "-m", "converters.digits_cnn", "--out", str(folder)]
    subprocess.run(train, check=True, capture_output=True)
    return Subject("digits", folder / "digits.keras", folder / "digits.npz", "20")


def _made(subject: Subject, plan: Plan, work: Path, end_s: float) -> dict[RowRecipe, Conversion]:
    """All rows that are there, or are begun before `end_s` of the monotonic clock."""
    found: dict[RowRecipe, Conversion] = {}
    with ProcessPoolExecutor(AT_ONCE) as pool:
        for after_ours in (False, True):
            chosen = [row for row in rows(plan) if row.after_ours is after_ours]
            make = partial(
                convert_row, subject=subject, by_latency=plan.by_latency, work=work, end_s=end_s
            )
            made = zip(chosen, pool.map(make, chosen), strict=True)
            found |= {row: conversion for row, conversion in made if conversion is not None}
    return {row: found[row] for row in rows(plan) if row in found}


def convert_row(
    row: RowRecipe, subject: Subject, by_latency: bool, work: Path, end_s: float
) -> Conversion | None:
    """Make the conversion of a row; what is done already with the same recipe is read.

    Args:
        row: The row.
        subject: The model and the data.
        by_latency: Whether steps may measure latency on this computer.
        work: Folder of the rows.
        end_s: Time of the monotonic clock after which nothing is begun.

    Returns:
        The conversion; None where the time was over.

    Raises:
        ConversionError: The row cannot be made.
    """
    folder, recipe = work / row.name, _recipe_file(row, work)
    if _done(row, work):
        return read_conversion(folder)
    if time.monotonic() > end_s:
        return None
    print(f"== {row.name}", flush=True)
    recipe.write_text(row.recipe, encoding="utf-8")
    request = ConversionRequest(
        subject.model, subject.data, str(recipe), folder, row.seed, cache=work / "steps"
    )
    started = time.monotonic()
    measure = measure_on() if by_latency else None
    conversion = convert(request, _Printed(row.name), measure=measure)
    seconds = time.monotonic() - started
    print(f"   {row.name}: {right_share(conversion.accuracy):.2%}, {seconds:.0f} s", flush=True)
    return conversion


def _recipe_file(row: RowRecipe, work: Path) -> Path:
    return work / f"{row.name}.toml"


def _done(row: RowRecipe, work: Path) -> bool:
    recipe = _recipe_file(row, work)
    there = (work / row.name / CONVERSION_NAME).is_file() and recipe.is_file()
    return there and recipe.read_text(encoding="utf-8") == row.recipe


class _Printed:
    """Prints where a conversion is, at most twice a minute."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._said = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        if time.monotonic() - self._said < 30:
            return
        self._said = time.monotonic()
        done = f"{progress.stage} {progress.done}/{progress.total}"
        print(f"   {self._name}: {done} {progress.detail}", flush=True)


def _latency_us(conversions: list[Conversion], rounds: int) -> list[list[float]]:
    """Medians of fresh processes of each file, microseconds, round by round, in turn."""
    with open_device(THIS_COMPUTER) as device:
        device.prepare_runtime("tflite")
        staged = [device.push(conversion.model) for conversion in conversions]
        runs = interleave(device, staged, one_process(1, PROCESS_S), rounds, no_progress)
    return [[sorted(run.samples_ns)[len(run.samples_ns) // 2] / 1e3 for run in of] for of in runs]


if __name__ == "__main__":
    main()
