"""Outputs of the operators of a .tflite, and the file with all of them as its outputs."""

from __future__ import annotations

from pathlib import Path

from converters.layer_output import LayerOutput, layers_of_name
from converters.tflite.inspection import examine_unpacked
from converters.tflite.unpacked import UnpackedModel

#: Ops that only change how a number is stored.
_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE", "CAST")
#: Types of the values of layers; others are shapes, indices and truth values.
_VALUE_TYPES = ("int8", "uint8", "int16", "float32")


def tflite_layer_outputs(path: Path) -> tuple[LayerOutput, ...]:
    """Return the outputs of the operators of the first subgraph, in the order of their work.

    Args:
        path: File that `converters.tflite.reader.read_model` accepted.

    Raises:
        ConversionError: An operator is damaged.
    """
    return examine_unpacked(path, lambda _: _outputs(UnpackedModel(path.read_bytes())))


def tflite_with_layer_outputs(path: Path) -> bytes:
    """Return a file whose outputs are those that `tflite_layer_outputs` lists, in that order.

    An output of a file is computed by every runtime and every delegate, where a tensor between two
    operators may never be written.

    Args:
        path: File that `converters.tflite.reader.read_model` accepted.

    Raises:
        ConversionError: An operator is damaged.
    """

    def write(_: object) -> bytes:
        model = UnpackedModel(path.read_bytes())
        model.model.subgraphs[0].outputs = _positions(model)
        model.model.signatureDefs = []  # they name other outputs
        return model.pack()

    return examine_unpacked(path, write)


def _outputs(model: UnpackedModel) -> tuple[LayerOutput, ...]:
    positions = _positions(model)
    places = {tensor: place for place, tensor in enumerate(positions)}
    origins: dict[int, tuple[int, ...]] = {}
    outputs = {}
    for operator in model.operators:
        sources = tuple(dict.fromkeys(o for i in operator.inputs for o in origins.get(int(i), ())))
        for tensor in map(int, operator.outputs):
            origins[tensor] = (places[tensor],) if tensor in places else sources
            name = model.name(tensor)
            if tensor in places:
                outputs[tensor] = LayerOutput(
                    name, layers_of_name(name), model.op(operator), model.spec(tensor), sources
                )
    return tuple(outputs[tensor] for tensor in positions)


def _positions(model: UnpackedModel) -> list[int]:
    """Positions of the tensors that hold what operators compute, each once."""
    positions = []
    for operator in model.operators:
        if model.op(operator) not in _CONVERSIONS:
            positions += [int(i) for i in operator.outputs if _is_value(model, int(i))]
    return list(dict.fromkeys(positions))


def _is_value(model: UnpackedModel, tensor: int) -> bool:
    return model.spec(tensor).dtype in _VALUE_TYPES and 0 not in model.shape(tensor)
