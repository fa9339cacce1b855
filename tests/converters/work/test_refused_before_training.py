"""A recipe that a model cannot go through to its end is refused before anything is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from converters.errors import ConversionError
from converters.progress import Progress
from converters.request import ConversionRequest
from tests.converters import warm
from tests.converters.conftest import run_child

MODELS = """
import sys, tf_keras
from tf_keras import layers

def save(name, *inner):
    model = tf_keras.Sequential([layers.Input((8, 8, 1)), *inner, layers.Flatten()])
    model.add(layers.Dense(10, activation="softmax"))
    model.save(f"{sys.argv[1]}/{name}.h5")

save("odd", layers.Reshape((8, 8)), layers.LocallyConnected1D(4, 1, name="odd"), layers.Dense(4))
norm = layers.BatchNormalization(name="late")
save("norm", layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(), norm,
     layers.Conv2D(8, 3, activation="relu"))
save("loop", layers.Reshape((8, 8)), layers.GRU(4, name="loop"))
"""
TUNE = """schema = 1
[[step]]
kind = "tune"
epochs = 1
learning_rate = 1e-5
batch_size = 32
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    run_child("-c", MODELS, folder)
    return folder


@pytest.mark.parametrize(
    ("model", "recipe", "message"),
    [
        ("odd", "sparse80_qat_w8a8", "odd.*LocallyConnected1D"),
        ("norm", "blocks25_distill_qat_w8a8", "no block that it can do without"),
    ],
)
def test_nothing_is_trained_for_a_file_that_is_refused(
    models: Path,
    digits_request: ConversionRequest,
    tmp_path: Path,
    model: str,
    recipe: str,
    message: str,
) -> None:
    request = replace(
        digits_request, model=models / f"{model}.h5", recipe=recipe, out=tmp_path / "out"
    )
    reports: list[Progress] = []
    with pytest.raises(ConversionError, match=message):
        warm.convert(request, reports.append)
    stages = {report.stage for report in reports}
    assert not any("train" in stage and stage != "prepare for training" for stage in stages), stages


def test_an_op_that_onnx_has_not_is_named_before_the_training(
    models: Path, digits_request: ConversionRequest, tmp_path: Path
) -> None:
    """A float GRU is a loop in the .tflite."""
    (tmp_path / "tune.toml").write_text(TUNE)
    request = replace(
        digits_request,
        model=models / "loop.h5",
        recipe=str(tmp_path / "tune.toml"),
        out=tmp_path / "out",
        format="both",
    )
    reports: list[Progress] = []
    with pytest.raises(ConversionError, match="does not write as ONNX: WHILE"):
        warm.convert(request, reports.append)
    stages = {report.stage for report in reports}
    assert not any("train" in stage and stage != "prepare for training" for stage in stages), stages
    sixteen = replace(request, model=models / "norm.h5", recipe="ptq_w8a16")
    with pytest.raises(ConversionError, match="no 16-bit activations"):
        warm.convert(sixteen)
    assert not (tmp_path / "out").exists()
