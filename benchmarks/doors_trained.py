"""Conversions of the ResNet-8 that was trained in PyTorch: a part of benchmarks/doors.py."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from benchmarks.doors_resnet8 import WEIGHTS, WORK, save_program, train
from converters.evidence.conversion import CONVERSION_NAME, Conversion, read_conversion
from converters.process import convert
from converters.progress import Progress
from converters.request import ConversionRequest

_DATA = Path(__file__).parent / "doors_resnet8:load"
_QAT = """
[[step]]
kind = "qat_w8a8"
epochs = 2
learning_rate = 3e-5
batch_size = 64
"""
_CHANNELS = """
[[step]]
kind = "channels"
macs_ratio = 0.5
importance = "taylor"
scope = "global"
multiple = 8

[[step]]
kind = "distill"
epochs = 8
learning_rate = 5e-3
batch_size = 128
augment = "flip"
temperature = 4.0
alpha = 0.8
"""
#: Name of each conversion to its recipe.
RECIPES = {
    "ptq_w8a8": 'schema = 1\n[[step]]\nkind = "ptq_w8a8"\n',
    "qat_w8a8": "schema = 1\n" + _QAT,
    "channels50": "schema = 1\n" + _CHANNELS + _QAT + 'teacher = "original"\n',
}


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
    convert(request, show)
    sys.stdout.write(f"   {name}: {time.monotonic() - began:.0f} s\n")


if __name__ == "__main__":
    (WORK / f"{sys.argv[1]}.toml").write_text(RECIPES[sys.argv[1]], encoding="utf-8")
    convert_one(sys.argv[1])
