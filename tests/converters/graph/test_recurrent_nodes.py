"""Recurrent layers as nodes of the graph: read, unrolled, pruned around, and trained."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.converters.conftest import run_program

NAMES = (
    *("LSTM", "two LSTMs", "backward", "hard", "GRU", "reset before", "SimpleRNN", "cell"),
    *("one step", "both ways", "mean", "norm", "images", "series"),
)
OLD = ("LSTM", "reset before", "hard", "both ways")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("rows")
    printed = run_program("recurrent_graph", folder)
    report: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return report


KINDS = [*(f"keras {name}" for name in NAMES), *(f"tf_keras {name}" for name in OLD)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_answers_as_the_layers_also_step_by_step(
    report: dict[str, Any], kind: str
) -> None:
    assert max(report[kind]["differences"]) < 1e-5


@pytest.mark.parametrize("name", ["images", "series"])
def test_channels_before_a_recurrent_layer_can_be_removed(
    report: dict[str, Any], name: str
) -> None:
    whole, _, small = report[f"keras {name}"]["macs"]
    assert small < whole
    assert report[f"keras {name}"]["small"] == [3, 6]


def test_macs_count_both_kernels_at_every_step(report: dict[str, Any]) -> None:
    whole, unrolled, _ = report["keras LSTM"]["macs"]
    assert whole == 4 * (5 + 6) * 4 * 6
    # The first step has no state.
    assert unrolled == whole - 6 * 4 * 6


def test_a_layer_that_is_no_node_is_named_with_the_reason(report: dict[str, Any]) -> None:
    refused = report["refused"]
    assert "(RNN of StackedRNNCells)" in refused["two cells"]
    assert "(LSTM that gives its state as an output of its own)" in refused["state"]


def test_what_was_trained_is_as_right_as_the_model(report: dict[str, Any]) -> None:
    accuracies = report["trained"]
    assert accuracies["model"] > 0.8, "the model did not learn"
    for name, accuracy in accuracies.items():
        assert accuracy > accuracies["model"] - 0.03, (name, accuracies)
