"""The table of sources in docs/coverage.md: `python -m tests.converters.source_coverage [SOURCE…]`.

Each source that is named, or every one that was not tried yet, is tried anew: a tiny model for each
row is read as a graph, and the graph's answers are compared with the source's own. Layers of Keras
are those of the table of techniques.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.converters import coverage
from tests.converters.coverage_trials import CRASHED, REFUSED, WORKS, WRONG, Outcome

RECORD = Path(__file__).with_suffix(".json")
BEGINS = "<!-- the sources: python -m tests.converters.source_coverage -->"
ENDS = "<!-- the sources end -->"
KERAS, TFLITE, ONNX = "Keras", "float .tflite", "ONNX, PyTorch"
#: Step of a recipe that needs nothing but the graph.
_KERAS_STEP = "tune"
_TOLERANCE = 1e-4

#: Row of the table to the case of each source: a layer of coverage_cases.py, a file of
#: tflite_cases.py, a model of onnx_cases.py. A source without a case has no such operator.
ROWS: dict[str, dict[str, str]] = {
    row: dict(zip((KERAS, TFLITE, ONNX), cases, strict=True))
    for row, cases in {
        "convolution": ("Conv2D", "conv", "conv"),
        "convolution, padding same, strides": (
            "Conv2D, padding same, strides 2", "conv, strides", "conv_strided"),
        "convolution, dilation": ("Conv2D, dilation 2", "conv, dilation", "conv_dilated"),
        "convolution, groups": ("Conv2D, groups 2", "conv, groups", "conv_grouped"),
        "convolution with explicit pads": ("ZeroPadding2D", "conv, pads", "conv_padded"),
        "convolution of one dimension": ("Conv1D", "conv 1d", "conv_1d"),
        "depthwise convolution": ("DepthwiseConv2D", "depthwise", "depthwise"),
        "transposed convolution": ("Conv2DTranspose", "conv transpose", "transposed"),
        "batch normalization": (
            "BatchNormalization after Conv2D", "conv, batch norm", "residual"),
        "dense": ("Dense", "dense", "mlp"),
        "dense of a flattened image": ("Flatten, Reshape", "dense, flattened", "flat_dense"),
        "product of two tensors": ("", "matmul of two", "matmul"),
        "product by Einsum": ("", "", "einsum_scores"),
        "attention": ("MultiHeadAttention", "attention", "attention"),
        "layer normalization": ("LayerNormalization", "layer norm", "layer_norm"),
        "group normalization": ("GroupNormalization", "group norm", "group_norm"),
        "unit normalization": ("", "unit norm", "unit_norm"),
        "max-pooling": ("MaxPooling2D", "max pool", "max_pool"),
        "max-pooling, padded by -inf": ("", "max pool, padded by -inf", "max_pool_padded"),
        "average pooling": ("AveragePooling2D", "average pool", "average_pool"),
        "mean over the image": ("", "mean of places", "mean_image"),
        "maximum over the image": ("GlobalMaxPooling2D", "maximum of places", "global_max"),
        "mean over other axes": ("", "mean of channels", "mean_channels"),
        "sum": ("", "sum", "sum_image"),
        "padding by zeros": ("ZeroPadding2D", "pad", "pad"),
        "padding by a number": ("", "pad by a number", "pad_value"),
        "padding by reflection": ("", "mirror pad", "pad_reflect"),
        "padding by the edge": ("", "", "pad_edges"),
        "resizing, bilinear": ("", "resize, bilinear", "resize_linear"),
        "resizing, nearest": ("UpSampling2D", "resize, nearest", "resize_nearest"),
        "depth to space": ("", "depth to space", "depth_to_space"),
        "concatenation": ("Concatenate", "concatenation", "class_token"),
        "concatenation with a constant": ("", "concatenation, constant", "class_token"),
        "split": ("", "split", "splits"),
        "slice": (
            "functions (keras.ops.relu, x + y, x[:, 1:])", "strided slice", "splits"),
        "gather with constants": ("", "gather of several", "shape_arithmetic"),
        "transpose": ("Permute", "transpose", "shuffle"),
        "embedding": ("", "embedding", "embedding"),
        "addition": ("Add", "add", "add_images"),
        "addition of a constant of each place": ("", "constant of each place", "add_1x4x5x4"),
        "multiplication, squeeze and excite": (
            "squeeze and excite (Multiply)", "squeeze and excite", "squeeze_excite"),
        "division": ("", "divide", "div_number"),
        "maximum": ("Maximum", "maximum", "max_images"),
        "softmax": ("softmax", "softmax", "softmax_channels"),
        "log-softmax": ("", "log softmax", "log_softmax"),
        "ReLU": ("ReLU", "relu", "unary_relu"),
        "ReLU6": ("ReLU6", "relu6", "relu6"),
        "limits": ("", "clip", "clip"),
        "leaky ReLU": ("LeakyReLU", "leaky relu", "unary_leakyrelu"),
        "PReLU": ("PReLU", "prelu", "prelu"),
        "ELU": ("ELU", "elu", "unary_elu"),
        "sigmoid": ("sigmoid", "sigmoid", "unary_sigmoid"),
        "tanh": ("tanh", "tanh", "unary_tanh"),
        "hard-swish": ("hard-swish", "hard swish", "unary_hardswish"),
        "swish": ("swish", "swish", "unary_sigmoid"),
        "GELU": ("gelu", "gelu", "gelu"),
        "softplus": ("softplus", "softplus", "unary_softplus"),
        "LSTM": ("LSTM", "lstm", "lstm"),
        "GRU": ("GRU", "", "gru"),
    }.items()
}  # fmt: skip

#: Source to case to what became of it.
SourceRecord = dict[str, dict[str, Outcome]]


def outcome_of(found: Mapping[str, Any]) -> Outcome:
    """What a program reported about a case."""
    message = found.get("message") or found.get("refusal") or ""
    if message:
        return Outcome(REFUSED, str(message).partition("\n")[0])
    if found["difference"] > _TOLERANCE:
        return Outcome(WRONG, f"the graph differs by {found['difference']:.1g}")
    return Outcome(WORKS)


def try_keras(_: list[str]) -> dict[str, Outcome]:
    """Outcomes of Keras layers, from the table of techniques."""
    rows = coverage.recorded().items()
    return {case: row[_KERAS_STEP] for case, row in rows if _KERAS_STEP in row}


def try_tflite(cases: list[str]) -> dict[str, Outcome]:
    """Outcomes of float .tflite files."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        _run("tflite_cases", folder, str(report), *cases)
        found = json.loads(report.read_text(encoding="utf-8"))
    return {case: outcome_of(facts) for case, facts in found.items()}


def try_onnx(cases: list[str]) -> dict[str, Outcome]:
    """Outcomes of ONNX models, the worst of all opsets."""
    with tempfile.TemporaryDirectory() as folder:
        lines = _run("onnx_report", folder, *cases).splitlines()
    outcomes: dict[str, Outcome] = {}
    for facts in map(json.loads, lines):
        outcome = outcome_of(facts)
        if outcome.kind != WORKS or facts["name"] not in outcomes:
            outcomes[facts["name"]] = outcome
    return outcomes


#: Source to the function that tries cases of it. A PyTorch model is exported as ONNX.
TRIES: dict[str, Callable[[list[str]], dict[str, Outcome]]] = {
    KERAS: try_keras,
    TFLITE: try_tflite,
    ONNX: try_onnx,
}


def _run(program: str, *arguments: str) -> str:
    command = [sys.executable, "-m", f"tests.converters.programs.{program}", *arguments]
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, cwd=coverage.ROOT, env=environment
    )
    return done.stdout


def recorded_sources() -> SourceRecord:
    """Outcomes that were recorded."""
    if not RECORD.exists():
        return {}
    plain = json.loads(RECORD.read_text(encoding="utf-8"))
    return {
        source: {case: Outcome(**outcome) for case, outcome in cases.items()}
        for source, cases in plain.items()
    }


def cases_of(source: str) -> list[str]:
    """Cases of a source in the table."""
    return list(dict.fromkeys(cases[source] for cases in ROWS.values() if cases[source]))


def source_table(record: SourceRecord) -> str:
    """The table of sources, and below it the messages of refusals."""
    lines = [f"| operation | {' | '.join(TRIES)} |", "|---" + "|:-:" * len(TRIES) + "|"]
    said: dict[str, None] = {}
    for row, cases in ROWS.items():
        marks = []
        for source, case in cases.items():
            outcome = record.get(source, {}).get(case)
            marks.append(_mark(case, outcome))
            if outcome is not None and outcome.kind in (REFUSED, WRONG, CRASHED):
                said[f"- {row}; {source}: {outcome.why.replace('<', '&lt;')}"] = None
        lines.append(" | ".join([f"| {row}", *marks]) + " |")
    return "\n".join([*lines, "", *said]) + "\n"


def _mark(case: str, outcome: Outcome | None) -> str:
    if not case:
        return " "
    return coverage.NOT_RUN if outcome is None else coverage.MARKS[outcome.kind]


def with_source_table(text: str, record: SourceRecord) -> str:
    """The page with its table of sources anew."""
    before, _, rest = text.partition(BEGINS)
    _, _, after = rest.partition(ENDS)
    return f"{before}{BEGINS}\n\n{source_table(record)}\n{ENDS}{after}"


def main(sources: list[str]) -> None:
    """Try sources, and write the record and the page."""
    record = recorded_sources()
    for source in sources or [source for source in TRIES if source not in record]:
        cases = cases_of(source)
        outcomes = TRIES[source](cases)
        record[source] = {case: outcomes[case] for case in cases if case in outcomes}
    plain = {
        source: {case: vars(outcome) for case, outcome in record[source].items()}
        for source in TRIES
        if source in record
    }
    RECORD.write_text(json.dumps(plain, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    text = coverage.DOCUMENT.read_text(encoding="utf-8")
    coverage.DOCUMENT.write_text(with_source_table(text, record), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
