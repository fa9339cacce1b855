"""Reads a Keras model, of Keras 2 or 3, as a graph."""

from __future__ import annotations

from typing import Any

from converters.errors import ConversionError
from converters.graph.builder import GraphBuilder, Ref
from converters.graph.fold import fold_graph
from converters.graph.keras.calls import Add, Call, dtype_of, hand_over_calls, is_model, shape_of
from converters.graph.keras.functions import FUNCTION_READERS
from converters.graph.keras.layers import LAYER_READERS
from converters.graph.keras.own_layers import is_own, trace_call
from converters.graph.keras.recurrent import read_each_step
from converters.graph.node import Graph

#: Layers and functions that take whole numbers as they are; all others compute with floats.
_TAKE_WHOLE_NUMBERS = (
    *("Embedding", "cast", "Cast", "Identity", "Flatten", "Reshape", "Permute", "Concatenate"),
    *("concat", "reshape", "expand_dims", "ExpandDims", "squeeze", "Squeeze"),
    *("__operators__.getitem", "GetItem"),
)


def read_graph(model: Any, origin: str = "the model") -> Graph:
    """Bring a Keras model to ops, flattened, its BatchNormalizations folded where that is exact.

    Args:
        model: Model of tf-keras or Keras 3; Functional or Sequential, built.
        origin: Name of the model in messages.

    Raises:
        ConversionError: A layer cannot be represented; the message names the layer and its class.
    """
    if not is_model(model) or not model.inputs:
        raise ConversionError(
            f"{origin}: is neither Functional nor Sequential, or was never built",
            "Build the model with keras.Model(inputs, outputs), or use the recipe ptq_w8a8",
        )
    builder = GraphBuilder(origin)
    inputs = [
        builder.input(tensor.name.split(":")[0], shape_of(tensor), dtype_of(tensor))
        for tensor in model.inputs
    ]

    def add(call: Call) -> Ref:
        if call.kind == "TimeDistributed" and len(call.sources) == 1:
            return read_each_step(builder, call, add)
        readers = FUNCTION_READERS if call.is_function else LAYER_READERS
        if call.kind not in readers and not call.is_function and is_own(call.layer):
            return _inside(builder, call, add)
        if call.kind not in readers or not call.sources:
            raise builder.refusal(call.source_layer)
        all_whole = all(map(builder.is_whole, call.sources))
        if call.kind not in _TAKE_WHOLE_NUMBERS or not all_whole:
            call = call.with_sources(builder.floats_of)
        return readers[call.kind](builder, call)

    return fold_graph(builder.graph(model.name, hand_over_calls(model, inputs, add)))


def _inside(builder: GraphBuilder, call: Call, add: Add) -> Ref:
    """Read a layer of the user's own by the calls that it makes."""
    model = trace_call(call)
    if model is None or len(model.outputs) != 1:
        raise builder.refusal(call.source_layer, "of your own, whose call cannot be followed")
    try:
        (answer,) = hand_over_calls(model, list(call.sources), add)
    except ConversionError as error:
        inside = str(error).removeprefix(f"{builder.origin}: ").partition(" cannot be ")[0]
        raise builder.refusal(call.source_layer, f"of your own, in which {inside}") from error
    return answer
