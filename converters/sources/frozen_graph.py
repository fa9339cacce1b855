"""A signature of a SavedModel of TensorFlow 1 with its variables as constants.

TensorFlow's converter does not know variables of the old kind (references).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

#: Ops of variables of the old kind.
_REFERENCES = frozenset({"Variable", "VariableV2"})


def has_references(graph: Any) -> bool:
    """Whether a graph of TensorFlow has variables of the old kind."""
    return any(operation.type in _REFERENCES for operation in graph.get_operations())


def freeze_signature(folder: Path, file_name: str, name: str) -> Callable[..., Mapping[str, Any]]:
    """Make a function of a signature, which needs no variables.

    Args:
        folder: Folder of the SavedModel, whose graph was checked.
        file_name: Name of the file of the graph, which is the only one in it.
        name: Name of the signature.

    Returns:
        A function that takes each input by its name and returns each output by its name.
    """
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    v1 = tf.compat.v1
    saved = saved_model_pb2.SavedModel.FromString((folder / file_name).read_bytes())
    (meta_graph,) = saved.meta_graphs
    signature = meta_graph.signature_def[name]
    inputs = {key: info.name for key, info in signature.inputs.items()}
    outputs = {key: info.name for key, info in signature.outputs.items()}
    with v1.Graph().as_default(), v1.Session() as session:
        v1.saved_model.load(session, list(meta_graph.meta_info_def.tags), str(folder))
        nodes = [tensor.partition(":")[0] for tensor in outputs.values()]
        constants = v1.graph_util.convert_variables_to_constants(
            session, session.graph.as_graph_def(), nodes
        )
    whole = v1.wrap_function(lambda: tf.import_graph_def(constants, name=""), [])
    tensor = whole.graph.as_graph_element
    function = whole.prune(
        [tensor(text) for text in inputs.values()],
        {key: tensor(text) for key, text in outputs.items()},
    )
    return lambda **tensors: function(*(tensors[key] for key in inputs))
