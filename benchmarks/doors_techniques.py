"""Techniques that take a model: python -m benchmarks.doors_techniques FILE ROW; prints JSON.

Each recipe is done on random samples, from the file to the judged .tflite, with one epoch a step:
it shows whether a technique takes every layer, and says nothing about accuracy.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from converters.errors import ConversionError
from converters.process import Converter
from converters.recipe.recipe import load_recipe
from converters.request import ConversionRequest

_SAMPLES = 16
_PTQ = '\n[[step]]\nkind = "ptq_w8a8"\n'
_TRAINING = "epochs = 1\nlearning_rate = 1e-5\nbatch_size = 4\n"
_CHANNELS = '\n[[step]]\nkind = "channels"\nmacs_ratio = 0.8\n'
_TUNE = f'\n[[step]]\nkind = "tune"\n{_TRAINING}'
#: Words for a technique to the steps that show it.
TECHNIQUES = {
    "post-training int8": _PTQ,
    "QAT": f'\n[[step]]\nkind = "qat_w8a8"\n{_TRAINING}',
    "channels": _CHANNELS + _TUNE + _PTQ,
}


def main(path: Path, row: dict[str, Any]) -> dict[str, Any]:
    """Do every recipe; return, for each technique, seconds and size, or the refusal."""
    random = np.random.default_rng(0)
    inputs = row["inputs"]
    arrays = {}
    for split in ("train", "test"):
        for name, entry in inputs.items():
            key = f"x_{split}.{name}" if len(inputs) > 1 else f"x_{split}"
            numbers = random.uniform(-1, 1, (_SAMPLES, *entry["shape"]))
            arrays[key] = numbers.astype(entry["dtype"])
    answers = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savez(folder / "data.npz", **arrays)
        with Converter(folder, several=True) as converter:
            for number, (words, steps) in enumerate(TECHNIQUES.items()):
                recipe = folder / f"recipe{number}.toml"
                recipe.write_text(f"schema = 1\n{steps}", encoding="utf-8")
                request = ConversionRequest(
                    path, folder / "data.npz", str(recipe), folder / f"out{number}"
                )
                answers[words] = _try(converter, request.absolute())
    return answers


def _try(converter: Converter, request: ConversionRequest) -> dict[str, Any]:
    began = time.monotonic()
    try:
        conversion = converter.convert(request, load_recipe(request.recipe))
    except ConversionError as error:
        return {"refusal": str(error)[:300]}
    except Exception as error:  # a bug in kedge is a row of the table, too
        return {"refusal": f"bug: {str(error).strip().splitlines()[-1][:200]}"}
    return {"seconds": time.monotonic() - began, "bytes": conversion.model_bytes}


if __name__ == "__main__":
    found = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), found)) + "\n")
