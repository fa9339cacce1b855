"""Layers that training with the rounding keeps in floats or in 16 bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from converters.graph.node import ACTIVATION, WEIGHTED, Graph, Node
from converters.quantize.float_operators import compute_in_floats, float_name
from converters.quantize.kept_layers import KeptTensors, expand_names, give_int16, is_pattern
from converters.quantize.layer_differences import Simulation, node_tensors
from converters.quantize.ranges import Rounding
from converters.recipe.recipe import RecipeError
from converters.recipe.training_steps import QatW8A8
from converters.tflite.unpacked import UnpackedModel


@dataclass(frozen=True)
class KeptNodes:
    """Nodes of a graph that a recipe keeps."""

    floats: tuple[Node, ...]
    """Nodes that compute in floats, with a kernel that is not rounded."""
    int16: tuple[Node, ...]
    """Nodes that get 16-bit activations, with a kernel of 8 bits."""

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes."""
        return (*self.floats, *self.int16)

    @property
    def float_weights(self) -> frozenset[str]:
        """Keys of the weights whose kernels are not rounded."""
        return frozenset(node.weights for node in self.floats)

    def put_into(self, content: bytes, simulation: Simulation) -> bytes:
        """Let the operators of these nodes compute in floats.

        Args:
            content: Integer file.
            simulation: Simulation of the file, whose graph has the weights.

        Raises:
            ConversionError: A node is no single operator of the file.
        """
        if not self.nodes:
            return content
        positions = node_tensors(simulation, UnpackedModel(content))
        outputs = {
            positions.get(rounded_node(simulation.graph, simulation.rounding, node), -1): node
            for node in self.nodes
        }
        return compute_in_floats(content, outputs, simulation.graph.weights)

    def add_int16(
        self,
        content: bytes,
        graph: Graph,
        rounding: Rounding,
        bounds: Mapping[str, tuple[float, float]],
    ) -> tuple[bytes, tuple[str, ...]]:
        """Give nodes 16-bit activations in a file that went through `put_into`.

        Args:
            content: The file.
            graph: Graph of the model.
            rounding: Nodes whose output is rounded.
            bounds: Name of each node that owns a range to its lowest and highest number.

        Returns:
            The file, and one note for the user about what is in floats and what in 16 bits.

        Raises:
            ConversionError: ai-edge-quantizer refuses the model.
        """
        floats, int16 = (
            {node.name: (float_name(node),) for node in nodes}
            for nodes in (self.floats, self.int16)
        )
        ranges = {
            float_name(node): bounds[rounding.ranges[rounded_node(graph, rounding, node)]]
            for node in self.int16
        }
        return give_int16(content, KeptTensors(floats, int16), ranges)


def keep_nodes(graph: Graph, step: QatW8A8) -> KeptNodes:
    """Find the nodes that a step keeps.

    Args:
        graph: Graph of the model.
        step: Step with the names of layers.

    Raises:
        RecipeError: There is no such layer, or one without weights.
    """
    return KeptNodes(
        weighted_nodes(graph, step.keep_float, f"step {step.kind}: keep_float"),
        weighted_nodes(graph, step.keep_int16, f"step {step.kind}: keep_int16"),
    )


def rounded_node(graph: Graph, rounding: Rounding, node: Node) -> str:
    """Return the name of the node at which the output of a node is rounded: its ReLU, or itself."""
    if node.name in rounding.ranges:
        return node.name
    consumers = graph.consumers()[node.name]
    return consumers[0].name if consumers else node.name


def weighted_nodes(graph: Graph, names: Sequence[str], origin: str) -> tuple[Node, ...]:
    """Find the nodes with weights that layers of a graph stand for.

    A ReLU stands for the layer before it, which computes it, too.

    Args:
        graph: Graph of the model.
        names: Names of layers; * and ? stand for any characters.
        origin: Field of the recipe, for messages.

    Raises:
        RecipeError: There is no such layer, or one without weights.
    """
    nodes = graph.by_name()
    kept: dict[str, Node] = {}
    has_pattern = {name for name in names if is_pattern(name)}
    for name in expand_names(names, nodes, origin):
        node = nodes[name]
        if node.op == ACTIVATION and nodes[node.inputs[0]].op in WEIGHTED:
            node = nodes[node.inputs[0]]
        if node.op in WEIGHTED:
            kept[node.name] = node
        elif name not in has_pattern and not any(fnmatchcase(name, each) for each in has_pattern):
            raise RecipeError(
                f"{origin}: layer {name!r} ({node.words}) has no weights: training with the "
                "rounding keeps convolutions and Dense layers only",
                "Name the layer behind it, or use ptq_w8a8.",
            )
    return tuple(kept.values())
