"""The prediction against files that Coral compiled: what was mapped there, and what was not."""

from pathlib import Path

import pytest

from converters.predicted_placement import CPU
from converters.tflite.edgetpu.placement import predict_placement
from converters.tflite.reader import EDGETPU_OP, read_model

MODELS = Path(__file__).parents[5] / "shared" / "models"


@pytest.mark.skipif(not MODELS.is_dir(), reason="no shared models here")
@pytest.mark.parametrize(
    "name",
    ["deeplabv3_mnv2_dm05_pascal_quant", "keras_lstm_mnist_ptq", "mobilenet_v1_0.25_128_quant"],
)
def test_the_same_operators_stay_on_the_cpu(name: str) -> None:
    compiled = read_model(MODELS / f"{name}_edgetpu.tflite")
    left = {op.name: op.count for op in compiled.operators if op.name != EDGETPU_OP}
    placement = predict_placement(MODELS / f"{name}.tflite")
    predicted: dict[str, int] = {}
    for operator in placement.operators:
        if operator.executor == CPU:
            predicted[operator.op] = predicted.get(operator.op, 0) + 1
    assert predicted == left
