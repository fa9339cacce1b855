"""Every op of ONNX that the graph represents gives the answers of onnxruntime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.converters.conftest import run_program
from tests.converters.programs.onnx_cases import CASES
from tests.shared_folder import fill_once

KINDS = [f"{name} {opset}" for name, (_, opsets) in CASES.items() for opset in opsets]


@pytest.fixture(scope="module")
def onnx_report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    def report(folder: Path) -> None:
        (folder / "report").write_text(run_program("onnx_report", folder), encoding="utf-8")

    lines = (fill_once(tmp_path_factory, "onnx_ops", report) / "report").read_text().splitlines()
    return {f"{facts['name']} {facts['opset']}": facts for facts in map(json.loads, lines)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_graph_answers_as_onnxruntime_does(onnx_report: dict[str, Any], kind: str) -> None:
    assert onnx_report[kind].get("refusal") is None
    assert onnx_report[kind]["difference"] < 1e-5


@pytest.mark.parametrize(
    "name",
    [
        *("residual 17", "mlp 17", "flat_dense 17", "reshaped_dense 17", "squeeze_excite 17"),
        *("conv_1d_net 17", "channels_last 17", "shape_arithmetic 17", "layer_norm_chain 17"),
    ],
)
def test_no_axes_are_moved_where_none_must_be(onnx_report: dict[str, Any], name: str) -> None:
    assert onnx_report[name]["ops"].get("permute", 0) == 0


@pytest.mark.parametrize(
    ("name", "op"),
    [
        ("layer_norm_chain 17", "layer_norm"),
        ("group_norm_chain 17", "group_norm"),
        ("class_token 17", "add_constant"),
        ("embedding 17", "embedding"),
        ("lstm_both 17", "lstm"),
        ("gru_after 17", "gru"),
    ],
)
def test_functions_stay_one_op(onnx_report: dict[str, Any], name: str, op: str) -> None:
    assert op in onnx_report[name]["ops"]


def test_attention_has_the_transposes_of_its_heads_only(onnx_report: dict[str, Any]) -> None:
    assert onnx_report["attention 17"]["ops"]["permute"] <= 4


def test_names_of_nodes_are_short_and_plain(onnx_report: dict[str, Any]) -> None:
    for facts in onnx_report.values():
        for name in facts["names"]:
            assert len(name) < 80
            assert name.replace("_", "").isalnum()
