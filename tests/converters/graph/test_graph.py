"""The graph says what the model said, in either Keras, whatever the model is made of."""

from __future__ import annotations

from typing import Any

import pytest

from tests.converters.programs.graph_cases import CASES

KINDS = [f"{version} {name}" for version in ("keras2", "keras3") for name in CASES]
PRUNED = [f"keras3 {name}" for name in CASES]


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_went_through_the_graph_answers_as_before(
    graph_report: dict[str, Any], kind: str
) -> None:
    assert graph_report[kind]["difference"] < 1e-5


@pytest.mark.parametrize("name", CASES)
def test_both_keras_give_the_same_graph(graph_report: dict[str, Any], name: str) -> None:
    ops = [graph_report[f"{version} {name}"]["ops"] for version in ("keras2", "keras3")]
    assert ops[0] == ops[1]


@pytest.mark.parametrize(
    ("name", "depthwise"),
    [
        ("sequential", 0),
        ("residual", 0),
        ("separable", 2),  # its own two, with the normalization inside
        ("late_norm", 1),  # before zeros are padded, and so not exact in a neighbour's weights
        ("early_norm", 2),
        ("normed_dense", 1),  # behind a ReLU and before another
        ("shared", 1),  # one normalization, used twice; once it goes into the Dense behind it
    ],
)
def test_batch_normalization_goes_into_its_neighbours_where_that_is_exact(
    graph_report: dict[str, Any], name: str, depthwise: int
) -> None:
    assert graph_report[f"keras2 {name}"]["ops"].get("depthwise", 0) == depthwise


@pytest.mark.parametrize("name", CASES)
def test_the_model_that_is_trained_answers_as_before_and_is_normalized(
    graph_report: dict[str, Any], name: str
) -> None:
    found = graph_report[f"keras2 {name}"]["unfolded"]
    assert found["difference"] < 1e-4
    if name != "shared_model":  # its only convolution is used twice, with one normalization
        assert found["norms"] > 0


def test_layers_keep_their_names(graph_report: dict[str, Any]) -> None:
    assert {"stem", "inner", "outer", "down", "short", "scores"} <= set(
        graph_report["keras3 residual"]["names"]
    )
    assert len(set(graph_report["keras2 nested"]["names"])) == len(
        graph_report["keras2 nested"]["names"]
    )


def test_a_shared_layer_is_two_uses_of_one_set_of_weights(graph_report: dict[str, Any]) -> None:
    found = graph_report["keras2 shared"]
    assert found["ops"]["conv"] == 3
    stem, twice, norm, scores = 16 * 28, 16 * (16 * 9 + 1), 2 * 16, 4 * 17
    assert found["parameters"] == stem + twice + norm + scores


def test_macs_are_those_of_the_formulas(graph_report: dict[str, Any]) -> None:
    positions = 8 * 8 * (16 * 3 * 9 + 2 * 16 * 16 * 9) + 4 * 4 * (32 * 16 * 9 + 32 * 16)
    assert graph_report["keras2 residual"]["macs"] == positions + 32 * 4


@pytest.mark.parametrize(
    ("what", "named"),
    [
        ("normed", "layer 'odd' (LayerNormalization over other axes than the last)"),
        ("normed3", "layer 'odd' (LayerNormalization over other axes than the last)"),
        ("channels_first", "layer 'odd' (GlobalMaxPooling2D with its channels first)"),
        ("channels_first3", "layer 'odd' (GlobalMaxPooling2D with its channels first)"),
        ("mish", "layer 'odd' (Conv2D with the activation mish)"),
        ("mish3", "layer 'odd' (Conv2D with the activation mish)"),
        ("axis", "layer 'odd' (BatchNormalization on axis 1, not on the last)"),
        ("axis3", "layer 'odd' (BatchNormalization on axis 1, not on the last)"),
        ("function", "(math.cumsum)"),
        ("function3", "(Cumsum)"),
        ("reciprocal", "(math.truediv with a constant)"),
    ],
)
def test_what_has_no_place_in_the_graph_is_named_with_what_to_do(
    graph_report: dict[str, Any], what: str, named: str
) -> None:
    message, hint = graph_report["refused"][what]
    assert message.startswith("m.keras: layer")
    assert named in message
    assert "ptq_w8a8" in hint


#: Where a removed channel would go on as a constant: a mask of zeros is not what these had.
_NOT_ZERO_AT_ZERO = {"activations"}


@pytest.mark.parametrize("scope", ["uniform", "global"])
@pytest.mark.parametrize("kind", PRUNED)
def test_a_pruned_model_answers_as_the_original_with_these_channels_at_zero(
    graph_report: dict[str, Any], kind: str, scope: str
) -> None:
    found = graph_report[kind]["pruned"][scope]
    assert found["removed"] > 0
    assert found["macs_ratio"] < 0.65
    assert found["parameters_ratio"] < 1
    if kind.split()[1] not in _NOT_ZERO_AT_ZERO:
        assert found["difference"] < 1e-5


@pytest.mark.parametrize("kind", PRUNED)
def test_what_removed_channels_gave_is_made_up_for_by_those_that_stay(
    graph_report: dict[str, Any], kind: str
) -> None:
    error, mended = graph_report[kind]["mended"]
    assert mended < 0.7 * error


@pytest.mark.parametrize(
    ("name", "blocks"), [("residual", 2), ("early_norm", 1), ("sequential", 0)]
)
def test_a_model_without_a_block_answers_as_with_one_that_adds_nothing(
    graph_report: dict[str, Any], name: str, blocks: int
) -> None:
    found = graph_report[f"keras3 {name}"]["bypassed"]
    assert len(found) == blocks
    for of_block in found.values():
        before, after, saved = of_block["macs"]
        assert of_block["difference"] < 1e-5
        assert after == before - saved < before


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("sequential", [16, 24, 16]),
        ("residual", [16, 16, 32]),  # each side of an addition is as wide as the other
        ("concat", [16, 24, 16]),
        ("depthwise", [16, 24]),  # what goes into a depthwise convolution comes out of it
        ("gates", [16, 8, 16]),  # a gate is as wide as what it gates
        ("shared", [16]),
    ],
)
def test_channels_that_must_go_together_are_one_group(
    graph_report: dict[str, Any], name: str, groups: list[int]
) -> None:
    assert graph_report[f"keras3 {name}"]["pruned"]["groups"] == groups


TRAINED = ("depthwise", "hard_swish", "shared", "concat", "gates", "nested")


@pytest.mark.parametrize("name", TRAINED)
def test_a_file_trained_with_fake_quantization_answers_as_the_model_did_in_training(
    graph_report: dict[str, Any], name: str
) -> None:
    found = graph_report["qat"][name]
    assert not {"QUANTIZE", "DEQUANTIZE"} & set(found["operators"])
    most, mean = found["steps_apart"]
    assert most <= 4
    assert mean < 1
    assert found["agrees"] >= 0.8


def test_every_channel_of_a_depthwise_kernel_has_its_own_scale(
    graph_report: dict[str, Any],
) -> None:
    assert [[1, 3, 3, 32], 32] in graph_report["qat"]["depthwise"]["scales"]
