"""A float .tflite and its int8 file, made from the schema: one layer of the int8 file is bad."""

from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.model_maker import ModelMaker

#: Layers, and the scale of each in the int8 file: layer `narrow` ends at 127 * 0.02 = 2.54.
SCALES = {"first": 0.1, "narrow": 0.02, "last": 0.02}
INPUT_SCALE = 0.1
SIZE = 8


def write_pair(folder: Path, extra: bool = False) -> tuple[Path, Path]:
    """Write int8.tflite, float.tflite and data.npz: a RELU for each layer.

    Args:
        folder: Folder for the files.
        extra: Whether the int8 file has a layer that the float file has not.
    """
    scales = {**SCALES, **({"alone": 0.02} if extra else {})}
    int8, exact = folder / "int8.tflite", folder / "float.tflite"
    int8.write_bytes(relu_chain(scales))
    exact.write_bytes(relu_chain(dict.fromkeys(SCALES)))
    x = np.random.default_rng(0).uniform(-10, 10, (60, SIZE)).astype(np.float32)
    y = np.arange(60) % SIZE
    np.savez(folder / "data.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    return int8, exact


def relu_chain(scales: dict[str, float] | dict[str, None]) -> bytes:
    maker = ModelMaker()
    names = {"x": INPUT_SCALE if any(scales.values()) else None}
    names |= {f"net/{name}/Relu": scale for name, scale in scales.items()}
    for name, scale in names.items():
        tensor = maker.tensors[maker.tensor(name, [1, SIZE])]
        if scale is not None:
            tensor.type = schema.TensorType.INT8
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [0]
    for position in range(len(scales)):
        maker.op("RELU", [position], [position + 1])
    if any(scales.values()):
        for code in maker.codes:
            code.version = 2
    return maker.pack([([0], [len(scales)])])
