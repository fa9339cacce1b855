"""A layer that a recipe cannot take is named as its user named it, with a recipe that takes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.errors import ConversionError
from converters.request import ConversionRequest
from tests.converters.conftest import run_program
from tests.converters.warm import convert

QAT = """
schema = 1
[[step]]
kind = "qat_w8a8"
epochs = 1
learning_rate = 1e-5
"""


@pytest.fixture(scope="module")
def layer_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of layer_cases.py."""
    folder = tmp_path_factory.mktemp("layers")
    run_program("layer_cases", folder)
    return folder


@pytest.mark.parametrize(
    ("model", "recipe", "named", "instead"),
    [
        ("elu", "ptq_w8a8", r"layer 'bent' \(ELU\) stays in floats", "mixed_w8a8"),
        ("layer_norm", "ptq_w8a8", r"layer 'normed' \(LayerNormalization\)", "mixed_w8a8"),
        ("conv3d", "ptq_w8a8", r"layer 'volume' \(Conv3D\) stays in floats", "mixed_w8a8"),
        ("lstm", "ptq_w8a8", r"layer 'memory' \(LSTM\) is recurrent", "ptq_dynamic"),
        ("gru", "mixed_w8a8", r"layer 'gated' \(GRU\) is recurrent", "ptq_dynamic"),
        ("layer_norm", "qat_w8a8", r"layer 'normed' \(LayerNormalization\)", "mixed_w8a8"),
    ],
)
def test_a_layer_that_8_bits_cannot_hold_is_named(
    layer_models: Path,
    digits_request: ConversionRequest,
    tmp_path: Path,
    model: str,
    recipe: str,
    named: str,
    instead: str,
) -> None:
    request = replace(digits_request, model=layer_models / f"{model}.keras", recipe=recipe)
    with pytest.raises(ConversionError, match=named) as caught:
        convert(replace(request, out=tmp_path / "out"))
    assert instead in caught.value.hint
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("model", ["permute", "two_relus", "relu_and_tanh"])
def test_a_right_file_is_accepted_on_few_samples(
    layer_models: Path, digits: Path, digits_request: ConversionRequest, tmp_path: Path, model: str
) -> None:
    """100 validation samples cannot show a difference of 0.5 %, so that the layers decide."""
    with np.load(digits / "digits.npz") as data:
        few = {name: x[:1000] if name.endswith("train") else x for name, x in data.items()}
    np.savez(tmp_path / "few.npz", **few)
    recipe = tmp_path / "short.toml"
    recipe.write_text(QAT)
    request = replace(digits_request, model=layer_models / f"{model}.keras", recipe=str(recipe))
    request = replace(request, data=tmp_path / "few.npz")
    found = convert(replace(request, out=tmp_path / "out")).step_records[0].found
    assert found["farthest_layer_steps"] < 1
    assert found["same_class"] > 0.98
