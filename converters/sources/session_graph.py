"""A graph of TensorFlow 1, which a session runs: what its saver may do.

TensorFlow runs three parts of it: the restore op of the saver, with the folder's own variables as
the file name; the ops that start the model; and what the outputs of its signatures need.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from converters.sources.allowed_ops import RESTORE_OP, SAVE_OPS, SAVER_OPS
from converters.sources.wire import submessages, texts

# Field numbers of TensorFlow's messages.
_GRAPH, _SAVER, _COLLECTIONS, _SIGNATURES = 2, 3, 4, 5
_NODES = 1
_NAME, _OP, _INPUTS = 1, 2, 3
_FILE_NAME, _RESTORE = 1, 3
_MAP_VALUE = 2
_SIGNATURE_OUTPUTS, _TENSOR_NAMES = 2, (1, 4)
_NODE_LIST = 1
#: Ops that may stand for the file name; TensorFlow puts another value in their place.
_PLACES = frozenset({"Const", "Placeholder", "PlaceholderWithDefault"})


@dataclass
class _Node:
    """A node of the graph."""

    ops: set[str] = field(default_factory=set)
    """Its op; several where the file has several nodes of one name."""
    inputs: list[str] = field(default_factory=list)
    """Names of the nodes that it needs."""


def file_ops_run(meta_graph: memoryview) -> list[str]:
    """Ops that read or write files where TensorFlow runs them, outside of the saver's own use.

    Args:
        meta_graph: The MetaGraphDef.

    Returns:
        Names of ops, sorted; empty where the saver reads the folder's own variables only.

    Raises:
        WireFormatError: The message is damaged.
    """
    nodes = _nodes(meta_graph)
    run = _needed(nodes, _roots(meta_graph))
    problems = {op for name in run for op in nodes[name].ops & SAVER_OPS}
    for saver in submessages(meta_graph, _SAVER):
        places = {_node_name(text) for text in texts(saver, _FILE_NAME)}
        for name in _needed(nodes, map(_node_name, texts(saver, _RESTORE))):
            node = nodes[name]
            problems |= node.ops & SAVE_OPS
            if RESTORE_OP in node.ops and not _reads_place(node, nodes, places):
                problems.add(RESTORE_OP)
    return sorted(problems)


def _nodes(meta_graph: memoryview) -> dict[str, _Node]:
    nodes: dict[str, _Node] = {}
    for graph in submessages(meta_graph, _GRAPH):
        for raw in submessages(graph, _NODES):
            for name in texts(raw, _NAME):
                node = nodes.setdefault(name, _Node())
                node.ops.update(texts(raw, _OP))
                node.inputs += map(_node_name, texts(raw, _INPUTS))
    return nodes


def _roots(meta_graph: memoryview) -> set[str]:
    """Nodes that TensorFlow may run: outputs of signatures, and every node of a collection."""
    roots = set()
    for entry in submessages(meta_graph, _SIGNATURES):
        for signature in submessages(entry, _MAP_VALUE):
            for output in submessages(signature, _SIGNATURE_OUTPUTS):
                for tensor in submessages(output, _MAP_VALUE):
                    roots |= {text for number in _TENSOR_NAMES for text in texts(tensor, number)}
    for entry in submessages(meta_graph, _COLLECTIONS):
        for collection in submessages(entry, _MAP_VALUE):
            for nodes in submessages(collection, _NODE_LIST):
                roots |= set(texts(nodes, 1))
    return {_node_name(root) for root in roots}


def _needed(nodes: Mapping[str, _Node], names: Iterable[str]) -> set[str]:
    """Names of nodes, and of all nodes that these need."""
    waiting, needed = [name for name in names if name in nodes], set()
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += [other for other in nodes[name].inputs if other in nodes]
    return needed


def _reads_place(node: _Node, nodes: Mapping[str, _Node], places: set[str]) -> bool:
    """Whether a restore op gets its file name from TensorFlow alone."""
    return all(
        name in places and name in nodes and nodes[name].ops <= _PLACES for name in node.inputs[:1]
    )


def _node_name(tensor: str) -> str:
    return tensor.lstrip("^").partition(":")[0]
