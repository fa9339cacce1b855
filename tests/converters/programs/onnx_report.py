"""Run as a program in a process of its own: the graph of each model of onnx_cases.py as JSON.

Arguments: a folder for files, and names of cases; all of them without names. Standard output: a
JSON line for each case and opset, with the difference to onnxruntime and the ops of the graph, or
the refusal.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from converters.errors import ConversionError
from converters.graph.build import build_model
from converters.graph.onnx.read import Place, read_onnx_graph, take_constants
from converters.onnx.prepare import prepare_in_process
from converters.onnx.proto import parse_proto
from tests.converters.programs.onnx_cases import CASES
from tests.converters.programs.onnx_maker import OnnxMaker, reference_answers

SAMPLES = 3


def main() -> None:
    """Report each case."""
    folder, *names = sys.argv[1:]
    for name, (case, opsets) in CASES.items():
        if names and name not in names:
            continue
        for opset in opsets:
            maker = OnnxMaker(opset)
            case(maker)
            facts = _report(maker.content(), Path(folder))
            sys.stdout.write(json.dumps({"name": name, "opset": opset, **facts}) + "\n")


def _report(content: bytes, folder: Path) -> dict[str, Any]:
    origin = folder / "tiny.onnx"
    try:
        prepare_in_process(parse_proto(content, origin), origin, {}, folder)
        model = parse_proto((folder / "folded.onnx").read_bytes(), origin)
        onnx_graph = read_onnx_graph(*take_constants(model), origin)
    except ConversionError as error:
        return {"refusal": f"{error} {error.hint} {error.__cause__!r}"}
    random = np.random.default_rng(1)
    nodes = onnx_graph.graph.by_name()
    batches = []
    for name in onnx_graph.graph.inputs:
        shape = (SAMPLES, *nodes[name].shape)
        dtype = nodes[name].attributes.get("dtype", "float32")
        numbers = random.integers(0, 2, shape) if "int" in dtype else random.normal(0, 2, shape)
        batches.append(numbers.astype(dtype))
    feeds = [
        {
            place.tensor: place.restore(batch[row])[None].reshape(_shape(place))
            for place, batch in zip(onnx_graph.inputs, batches, strict=True)
        }
        for row in range(SAMPLES)
    ]
    reference = reference_answers(content, feeds)
    answers = build_model(onnx_graph.graph)(
        batches if len(batches) > 1 else batches[0], training=False
    )
    answers = answers if isinstance(answers, (list, tuple)) else [answers]
    worst = 0.0
    for number, (place, own) in enumerate(zip(onnx_graph.outputs, answers, strict=True)):
        expected = np.stack([place.bring(row[number]) for row in reference])
        assert expected.shape == own.shape, (expected.shape, own.shape)
        scale = max(float(np.abs(expected).max()), 1e-30)
        worst = max(worst, float(np.abs(expected - np.asarray(own)).max()) / scale)
    ops = Counter(node.op for node in onnx_graph.graph.nodes)
    return {"difference": worst, "ops": ops, "names": list(nodes)}


def _shape(place: Place) -> tuple[int, ...]:
    return tuple(int(np.prod(axis, dtype=int)) for axis in place.axes)


if __name__ == "__main__":
    main()
