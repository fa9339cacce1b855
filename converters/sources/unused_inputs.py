"""Inputs of a model that no output depends on. TensorFlow's graph as plain messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from converters.data.fields import quote_names
from converters.sources.inputs_outputs import ModelTensor
from converters.tflite.unpacked import UnpackedModel

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")


def find_unused_of_function(function: Any, inputs: Iterable[ModelTensor]) -> tuple[str, ...]:
    """Find the inputs that no output of a function depends on.

    Args:
        function: Concrete function of TensorFlow, its arguments in the order of `inputs`.
        inputs: Inputs of the model. A single input counts as used.

    Returns:
        Names of the inputs that are not used.
    """
    names = [tensor.name for tensor in inputs]
    if len(names) < 2:
        return ()
    graph = function.graph
    definition = graph.as_graph_def()
    library = {inner.signature.name: inner for inner in definition.library.function}
    used = _reach(definition.node, [tensor.name for tensor in graph.outputs], library)
    arguments = [tensor.op.name for tensor in graph.inputs[: len(names)]]
    return tuple(
        name for name, argument in zip(names, arguments, strict=True) if argument not in used
    )


def find_unused_of_tflite(model: UnpackedModel, inputs: Iterable[ModelTensor]) -> tuple[str, ...]:
    """Find the inputs that no operator of a .tflite reads.

    Args:
        model: The .tflite.
        inputs: Inputs of the model, in the order of the file. A single input counts as used.

    Returns:
        Names of the inputs that are not used.
    """
    names = [tensor.name for tensor in inputs]
    used = {*model.outputs, *(int(i) for op in model.operators for i in op.inputs)}
    if len(names) < 2:
        return ()
    return tuple(name for name, i in zip(names, model.inputs, strict=True) if i not in used)


def unused_words(names: tuple[str, ...]) -> tuple[str, str]:
    """Return what is wrong with unused inputs, and what to do about it.

    Args:
        names: Names of the inputs, at least one.
    """
    them, is_one = quote_names(names), len(names) == 1
    words = f"its input {them} is" if is_one else f"its inputs {them} are"
    drop = ", ".join(map(repr, names))
    return (
        f"{words} not used: no output depends on {'it' if is_one else 'them'}",
        f"Remove {'it' if is_one else 'them'} from the model and from the data. In Keras: "
        f"keras.Model([x for x in model.inputs if x.name not in [{drop}]], model.outputs).",
    )


def _reach(nodes: Iterable[Any], outputs: Iterable[str], library: Mapping[str, Any]) -> set[str]:
    """Names of the nodes and arguments that outputs depend on, functions inside included."""
    by_name = {node.name: node for node in nodes}
    reached: set[str] = set()
    waiting = list(outputs)
    while waiting:
        name = waiting.pop().partition(":")[0]
        if name in reached or name.startswith("^"):  # a "^" orders two nodes and passes nothing
            continue
        reached.add(name)
        if name in by_name:
            waiting += _needed(by_name[name], library)
    return reached


def _needed(node: Any, library: Mapping[str, Any]) -> list[str]:
    """Inputs of a node; of a call only those that the function uses."""
    function = node.attr["f"].func.name if node.op in _CALLS else node.op
    inner = library.get(function)
    if inner is None:
        return list(node.input)
    used = _reach(inner.node_def, inner.ret.values(), library)
    arguments = [argument.name for argument in inner.signature.input_arg]
    sources = [name for name in node.input if not name.startswith("^")]
    return [name for name, argument in zip(sources, arguments, strict=False) if argument in used]
