"""From a Keras model of either kind to a graph."""

from __future__ import annotations

from typing import Any

from converters.errors import ConversionError
from converters.graph.builder import Sheet
from converters.graph.fold import folded
from converters.graph.keras.calls import Add, Call, Ref, is_model, shape_of, walk
from converters.graph.keras.functions import FUNCTION_READERS
from converters.graph.keras.layers import LAYER_READERS
from converters.graph.keras.own_layers import is_own, traced
from converters.graph.node import Graph


def read_graph(model: Any, origin: str = "the model") -> Graph:
    """Bring a Keras model to ops, flattened, its BatchNormalizations folded where that is exact.

    Args:
        model: Of tf-keras or Keras 3; Functional or Sequential, built.
        origin: What messages call it.

    Raises:
        ConversionError: A layer cannot be represented; the message names it, its class and what to
            do.
    """
    if not is_model(model) or not model.inputs:
        raise ConversionError(
            f"{origin}: is neither Functional nor Sequential, or was never built",
            "build the model with keras.Model(inputs, outputs), or use the recipe ptq_w8a8",
        )
    sheet = Sheet(origin)
    inputs = [sheet.input(tensor.name.split(":")[0], shape_of(tensor)) for tensor in model.inputs]

    def add(call: Call) -> Ref:
        readers = FUNCTION_READERS if call.is_function else LAYER_READERS
        if call.kind not in readers and not call.is_function and is_own(call.layer):
            return _inside(sheet, call, add)
        if call.kind not in readers or not call.sources:
            raise sheet.refusal(call)
        return readers[call.kind](sheet, call)

    return folded(sheet.graph(model.name, walk(model, inputs, add)))


def _inside(sheet: Sheet, call: Call, add: Add) -> Ref:
    """A layer of the user's own: what it calls inside."""
    model = traced(call)
    if model is None or len(model.outputs) != 1:
        raise sheet.refusal(call, "of your own, whose call cannot be followed")
    try:
        (answer,) = walk(model, list(call.sources), add)
    except ConversionError as error:
        inside = str(error).removeprefix(f"{sheet.origin}: ").partition(" cannot be ")[0]
        raise sheet.refusal(call, f"of your own, in which {inside}") from error
    return answer
