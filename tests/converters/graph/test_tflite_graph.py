"""Float .tflite files as graphs: each op both ways, and files that fit no rule."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.converters.conftest import run_program

#: Case of tflite_cases.py to the ops of its graph, where they are not one node for each builtin.
OPS = {
    "conv, relu": ["input", "conv", "relu"],
    "conv, batch norm": ["input", "conv"],
    "conv, groups": ["input", "conv"],
    "conv transpose, odd": ["input", "conv_transpose", "crop"],
    "conv 1d": ["input", "reshape", "conv", "reshape"],
    "dense, rows": ["input", "dense"],
    "scalars": ["input", "depthwise"],
    "average pool of the map": ["input", "conv", "global_average_pool", "reshape"],
    "max pool, padded by -inf": ["input", "conv", "mirror_pad", "max_pool"],
    "resize, nearest": ["input", "upsample"],
    "embedding": ["input", "embedding"],
    "lstm": ["input", "lstm"],
    "swish": ["input", "swish"],
    "softplus": ["input", "softplus"],
    "layer norm": ["input", "layer_norm"],
    "layer norm, one product": ["input", "layer_norm"],
    "unit norm": ["input", "unit_norm"],
    "gelu by tanh": ["input", "gelu"],
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("tflite")
    run_program("tflite_cases", folder, folder / "report.json")
    plain: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return plain


def test_every_op_of_the_map_is_read_and_answers_as_the_file_does(
    outcomes: dict[str, Any],
) -> None:
    refused = {name: found["message"] for name, found in outcomes.items() if "message" in found}
    assert refused == {}
    assert max(found["difference"] for found in outcomes.values()) < 1e-5


@pytest.mark.parametrize(("case", "ops"), OPS.items())
def test_a_file_becomes_the_ops_that_techniques_know(
    outcomes: dict[str, Any], case: str, ops: list[str]
) -> None:
    assert outcomes[case]["ops"] == ops


def test_every_rule_is_tried(outcomes: dict[str, Any]) -> None:
    from converters.graph.tflite.read import RULES

    tried = {builtin for found in outcomes.values() for builtin in found["builtins"]}
    assert set(RULES) - tried <= {"SELECT", "SIGN"}
