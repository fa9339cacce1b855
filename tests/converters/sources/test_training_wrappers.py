"""A layer of TensorFlow Model Optimization is refused with the function that takes it off."""

from __future__ import annotations

from pathlib import Path

import pytest

from converters.errors import ConversionError
from converters.sources.allowed_classes import refuse_code
from converters.sources.architecture import stored_layers
from converters.sources.keras import _refuse_custom
from converters.sources.source_file import TF_KERAS, SourceFile


def refusal(class_name: str, name: str = "outer") -> ConversionError:
    inner = {"class_name": "Conv2D", "config": {"name": "conv"}}
    config = {"class_name": class_name, "config": {"name": name, "layer": inner}}
    source = SourceFile(Path("m.h5"), TF_KERAS, tuple(stored_layers(config)))
    with pytest.raises(ConversionError) as caught:
        _refuse_custom(source, source.layers[0])
    return caught.value


@pytest.mark.parametrize(
    ("class_name", "remedy"),
    [
        ("PruneLowMagnitude", "tfmot.sparsity.keras.strip_pruning"),
        ("TFMOT>PruneLowMagnitude", "tfmot.sparsity.keras.strip_pruning"),
        ("ClusterWeights", "tfmot.clustering.keras.strip_clustering"),
        ("QuantizeLayer", "qat_w8a8"),
        ("QuantizeWrapperV2", "qat_w8a8"),
        ("QuantizeAnnotate", "qat_w8a8"),
    ],
)
def test_a_wrapper_of_training_is_to_be_taken_off(class_name: str, remedy: str) -> None:
    error = refusal(class_name)
    assert "'outer'" in str(error)
    assert remedy in error.hint
    assert "custom_objects" not in error.hint


def test_a_layer_of_the_users_own_is_to_be_named() -> None:
    assert 'custom_objects = "module:function"' in refusal("Mine").hint
    assert "layer ''" not in str(refusal("Mine", name=""))


def test_a_lambda_layer_has_three_ways_out() -> None:
    config = {"class_name": "Lambda", "config": {"name": "twice"}}
    with pytest.raises(ConversionError, match="layer 'twice' is a Lambda layer") as caught:
        refuse_code(Path("m.keras"), config)
    for remedy in ("layers of Keras", 'custom_objects = "module:function"', "model.export(folder)"):
        assert remedy in caught.value.hint


@pytest.mark.parametrize(
    "config",
    [
        {"class_name": "JaxLayer", "config": {}},
        {"class_name": "TFOpLambda", "config": {"function": "io.read_file"}},
        ["_COMPOSITE_TYPE", {}],
    ],
)
def test_a_layer_without_a_name_is_called_a_layer(config: object) -> None:
    with pytest.raises(ConversionError, match="m.keras: a layer ") as caught:
        refuse_code(Path("m.keras"), config)
    assert "''" not in str(caught.value)
