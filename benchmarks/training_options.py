"""What each option of training gives a small student: one row an option, all else equal.

    python -m benchmarks.training_options                    # ResNet-8 at half of its MACs
    python -m benchmarks.training_options --epochs 8 --seeds 0,1,2 --minutes 60

Writes benchmarks/results/training_options.md. Every row is one conversion, judged on all held-out
images with the 8-bit file; its difference to the row without options of the same seed is paired.
A row that is done is not done again, so that an interrupted run goes on; the training of a row goes
on after its last epoch. A row of 32 epochs takes about 20 minutes on two cores.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path

from benchmarks.compression import ROOT, SHARED, Subject, convert_row
from benchmarks.compression_rows import RowRecipe
from benchmarks.compression_table import right_answers, right_share
from benchmarks.machine import machine
from converters.evidence.conversion import Conversion
from converters.judge.paired import paired_interval

RESULT = Path(__file__).parent / "results" / "training_options.md"
WORK = ROOT / ".cache" / "training_options"

_SHAPE = """schema = 1
[[step]]
kind = "blocks"
macs_ratio = 0.65
[[step]]
kind = "channels"
macs_ratio = 0.78
scope = "sensitivity"
multiple = 16
"""
_DISTILL: Mapping[str, object] = {
    "learning_rate": 5e-3,
    "batch_size": 128,
    "augment": '"flip_shift"',
    "alpha": 0.9,
    "temperature": 4.0,
}
_MIXED = '"mixup_cutmix"'
#: Name of each row to the fields that it adds or changes.
OPTIONS: dict[str, dict[str, object]] = {
    "no option": {},
    "learning rate chosen by kedge, no cosine": {"learning_rate": '"auto"'},
    "warm-up of one epoch": {"warmup_epochs": 1},
    "average of weights, 0.999": {"weight_average": 0.999},
    "mixup": {"mix": '"mixup"'},
    "mixup, alpha 0.2": {"mix": '"mixup"', "mix_alpha": 0.2},
    "cutmix": {"mix": '"cutmix"'},
    "mixup or cutmix": {"mix": _MIXED},
    "mixup or cutmix, no labels": {"mix": _MIXED, "alpha": 1.0},
    "born again, 8 epochs": {"born_again": 8},
}


@dataclass(frozen=True)
class OptionRow:
    """One conversion of the benchmark."""

    option: str
    """Key of `OPTIONS`."""
    seed: int
    """Seed of the conversion."""
    epochs: int
    """Epochs of distillation."""

    @property
    def recipe(self) -> RowRecipe:
        """The conversion as a row of the compression benchmark, which can make it."""
        fields = {"kind": '"distill"', "epochs": self.epochs, **_DISTILL, **OPTIONS[self.option]}
        lines = "\n".join(f"{name} = {value}" for name, value in fields.items())
        text = f'{_SHAPE}[[step]]\n{lines}\n[[step]]\nkind = "ptq_w8a8"\n'
        name = f"{self.option} {self.epochs} epochs seed {self.seed}".replace(" ", "_")
        return RowRecipe(name, text, self.seed, self.epochs)


def main() -> None:
    """Convert what is missing and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--epochs", type=int, default=32, help="epochs of distillation")
    parser.add_argument("--seeds", default="0", help="seeds, with commas between them")
    parser.add_argument("--minutes", type=float, help="begin no row after these; the next run will")
    parser.add_argument("--options", help="keys of OPTIONS, with semicolons between them")
    arguments = parser.parse_args()
    model, data = SHARED / "models" / "resnet8_cifar10.h5", SHARED / "data" / "cifar10.tar.gz"
    if not (model.exists() and data.exists()):
        sys.exit(f"missing: {model} or {data}")
    subject = Subject("ResNet-8 on CIFAR-10", model, data, "")
    chosen = arguments.options.split(";") if arguments.options else list(OPTIONS)
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    rows = [OptionRow(option, seed, arguments.epochs) for seed in seeds for option in chosen]
    end_s = time.monotonic() + 60 * (arguments.minutes or inf)
    WORK.mkdir(parents=True, exist_ok=True)
    conversions: dict[OptionRow, Conversion] = {}
    for row in rows:
        conversion = convert_row(row.recipe, subject, False, WORK, end_s)
        if conversion is not None:
            conversions[row] = conversion
            text = "\n".join(table(conversions, data, [r for r in rows if r not in conversions]))
            RESULT.write_text(text + "\n", encoding="utf-8")
            print(text, flush=True)


def table(
    conversions: Mapping[OptionRow, Conversion], data: Path, left: list[OptionRow]
) -> list[str]:
    """Lines of the result.

    Args:
        conversions: Rows that are done.
        data: Data that was used; the files are asked about its test samples once more, to pair them
            with each other.
        left: Rows that are not done.
    """
    rights = dict(zip(conversions, right_answers(list(conversions.values()), data), strict=True))
    lines = [
        "# Options of training: ResNet-8 on CIFAR-10 at half of its MACs",
        "",
        machine(),
        "",
        "| | seed | epochs | test accuracy % | points above no option (95 %, paired) | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for row, conversion in conversions.items():
        plain = OptionRow("no option", row.seed, row.epochs)
        difference = "–"
        if plain in rights and row != plain:
            low, high = paired_interval(rights[plain], rights[row])
            points = 100 * (rights[row].mean() - rights[plain].mean())
            difference = f"{points:+.2f} ({100 * low:+.2f} to {100 * high:+.2f})"
        seconds = sum(record.seconds for record in conversion.step_records)
        cells = [
            row.option,
            str(row.seed),
            str(row.epochs),
            f"{100 * right_share(conversion.accuracy):.2f}",
            difference,
            f"{seconds:.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    if left:
        lines += ["", f"Not run yet: {'; '.join(f'{r.option}, seed {r.seed}' for r in left)}."]
    return lines


if __name__ == "__main__":
    main()
