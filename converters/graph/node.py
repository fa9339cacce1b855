"""A model as plain immutable data: nodes, and the weights that they use. NumPy only.

Every reader of a source fills the same graph, and every technique reads it; so this is what a graph
means, whatever the source means by the same words.

Tensors are float32, but for those of `converters.graph.whole_numbers`, and have their channels
last: (batch, height, width, channels), (batch, length, channels) or (batch, channels). Shapes leave
the batch axis out and are fixed. Where an attribute counts axes, the batch is axis 0: the channels
of an image are axis 3. Every node has one output; a layer of several outputs becomes several nodes.
Nodes stand in an order in which they can be computed. Two nodes with one key of weights are a layer
that is used twice.

Ops with a kernel: the axes of the kernel, and its other arrays.

- `conv`: (height, width, inputs / groups, outputs), bias (outputs,). Attributes `strides`,
  `padding`, `dilation` and `groups`. A convolution of one dimension is one of an image that is one
  pixel high, between two `reshape`.
- `conv_transpose`: (height, width, outputs, inputs), bias (outputs,). Attributes `strides`,
  `padding` and `dilation`.
- `depthwise`: (height, width, inputs, multiplier), bias (inputs * multiplier,): output channel
  i * multiplier + m is made of input channel i. Attributes as of `conv`, without `groups`.
- `dense`: (inputs, outputs), bias (outputs,); applied to the last axis.

`padding` is "valid" (none) or "same". "same" gives ceil(size / stride) places; where the total of
zeros is odd, the one more is at the end. Any other padding, symmetric or not, is a `zero_pad` node
with ((top, bottom), (left, right)) before a node with "valid". `strides`, `dilation` and `pool` are
(height, width).

Whole numbers, such as the numbers of words, enter by an `input` with a `dtype` and leave by an
`embedding`, which takes the row of its `table` (rows, outputs) that each number names, or by a
`cast`, which makes them floats. An `embedding` takes floats, too: the whole part of each is the
number of a row.

Ops with other weights: `affine` is x * scale + offset, both (channels,). `norm` is a
BatchNormalization: gamma, beta, moving_mean and moving_variance, all (channels,), and the epsilon
`EPSILON`. `prelu` has alpha, of the output's rank without the batch
axis, 1 along the axes that share it.

Readers hand over a BatchNormalization as `affine`. `converters.graph.fold` then puts every `affine`
into the kernel before or behind it, or makes a depthwise convolution of it: a folded graph has
neither `affine` nor `norm`. `converters.graph.unfold` puts a `norm` behind convolutions again, for
training.

Recurrent ops read a sequence (steps, inputs) from a state of zeros: `lstm`, `gru` and `rnn`. They
have a kernel (inputs, gates * units), a recurrent kernel `recurrent` (units, gates * units) and a
bias (gates * units,). The gates of an `lstm` are input, forget, cell, output; those of a `gru`
update, reset, candidate; an `rnn` has one. A `gru` with `reset_after` multiplies by the reset gate
behind the recurrent kernel, and its bias is (2, gates * units): of the inputs, of the state. They
give every state (steps, units) with `sequences`, else the last one (units,). With `backward` they
begin at the last step; `sequences` stay in the order of the input. `cell_function` (of candidate
and output) and `gate_function` are names of activations in `RECURRENT_FUNCTIONS`.
`converters.graph.unroll` makes plain ops of them.

Ops without weights: `activation` (attribute `function`, and its parameters); `add`, `subtract`,
`multiply`, `maximum` and `minimum` of two inputs; `concat` (`axis`); `max_pool` and `average_pool`
(`pool`, `strides`, `padding`; an average leaves padding out of the count); `global_average_pool`
and `global_max_pool` (`rank`: number of axes between batch and channels; `keepdims`); `zero_pad`
(`padding`); `crop` (`cropping`, as `padding`); `upsample` (`size`, `interpolation`); `resize`
(`height`, `width`, `interpolation`, between the centres of pixels); `flatten` (channels run
fastest); `reshape` (to the node's shape); `permute` (`dims`, from 1); `slice` (`slices`: start,
stop and step of each axis, the batch first).

`matmul` multiplies the last two axes of two inputs (`transpose_b`: the second one's are exchanged
before). `add_constant` adds `values` of `shape`, which training leaves as they are (`masks`: they
mask scores before softmax). `mean` averages over `axes` (`keepdims`). `mirror_pad` (`padding` and
`mode`, "symmetric" or "reflect") and `constant_pad` (`padding` and `value`) are pads other than 0.

Normalizations over a sample: `layer_norm` over the last axis and `group_norm` over `groups` of
channels have gamma and beta, both (channels,), and an `epsilon`; `unit_norm` divides by the length
of the last axis.

Activations: `relu`, `relu6`, `relu_of` (`max_value`, `slope`, `threshold`), `leaky_relu` (`slope`),
`elu` (`alpha`), `selu`, `sigmoid`, `tanh`, `softmax` (`axis`), `swish`, `gelu` (`approximate`: by
tanh), `softplus`, `softsign`, `exponential`, `hard_swish` (x * relu6(x + 3) / 6), `log_softmax` (of
the last axis), `square`, `sqrt`, `rsqrt` (1 / sqrt(x)), `reciprocal`, `abs` and `log`. Readers make
`relu6` between two `affine` of what is limited to other numbers, such as a hard sigmoid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Weights = Mapping[str, npt.NDArray[np.float32]]

INPUT = "input"
CONV = "conv"
CONV_TRANSPOSE = "conv_transpose"
DEPTHWISE = "depthwise"
DENSE = "dense"
#: x * scale + offset on the last axis: a BatchNormalization of a trained model.
AFFINE = "affine"
ACTIVATION = "activation"
#: A BatchNormalization of a model that trains; folded graphs have none.
NORM = "norm"
#: Number that a `norm` adds to the variance.
EPSILON = 1e-3
#: Rows of a table, chosen by whole numbers.
EMBEDDING = "embedding"
#: Whole numbers as floats.
CAST = "cast"
LSTM = "lstm"
GRU = "gru"
RNN = "rnn"
ADD = "add"
CONCAT = "concat"

#: Op or function to words for messages, where its own name is none that users know.
_WORDS = {
    "relu_of": "ReLU with max_value, slope or threshold",
    "hard_sigmoid": "hard_sigmoid of Keras 3",
    "hard_sigmoid_5": "hard_sigmoid of Keras 2",
    AFFINE: "scale and offset",
    LSTM: "LSTM",
    GRU: "GRU",
    RNN: "simple recurrent layer",
    NORM: "BatchNormalization",
}

#: Ops with a `kernel` and a `bias`; a BatchNormalization behind them can go into both.
WEIGHTED = (CONV, CONV_TRANSPOSE, DEPTHWISE, DENSE)
#: Ops that go over a sequence, and the number of gates of each.
RECURRENT = {LSTM: 4, GRU: 3, RNN: 1}
#: Activations of recurrent ops. `hard_sigmoid` is relu6(x + 3) / 6, `hard_sigmoid_5` is x / 5 + 1/2
#: limited to 0..1.
RECURRENT_FUNCTIONS = ("tanh", "sigmoid", "relu", "linear", "hard_sigmoid", "hard_sigmoid_5")
#: Ops of several inputs that work element by element.
ELEMENTWISE = (ADD, "subtract", "multiply", "maximum", "minimum")


@dataclass(frozen=True)
class Node:
    """One op."""

    name: str
    """Name, unique in its graph; the name of the source's layer where that is unique."""
    op: str
    """Kind of operation, as listed in the docstring of this module."""
    inputs: tuple[str, ...]
    """Names of the nodes whose outputs it takes."""
    shape: tuple[int, ...]
    """Shape of its output, without the batch axis."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the op, as plain data: numbers, text, None, and tuples of these."""
    weights: str = ""
    """Key of its weights in the graph; "" if it has none. Two nodes with the same key are a layer
    that is used twice."""

    @property
    def words(self) -> str:
        """Kind of operation in words for a message."""
        kind = str(self.attributes.get("function") or self.op)
        return _WORDS.get(kind, kind.replace("_", " "))


@dataclass(frozen=True)
class Graph:
    """A model."""

    name: str
    """Name of the model."""
    nodes: tuple[Node, ...]
    """Every node stands after those that it takes from."""
    outputs: tuple[str, ...]
    """Names of the nodes whose outputs are the model's."""
    weights: Mapping[str, Weights]
    """Arrays of each set by name, float32, in the shapes that the docstring of this module lists:
    `kernel` and `bias`, of recurrent ops `recurrent` too; `table`; `scale` and `offset`; `alpha`;
    or the four of a `norm`."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the model's inputs."""
        return tuple(node.name for node in self.nodes if node.op == INPUT)

    def by_name(self) -> dict[str, Node]:
        """Name to node."""
        return {node.name: node for node in self.nodes}

    def consumers(self) -> dict[str, list[Node]]:
        """Name of each node to the nodes that take its output, once for each time."""
        consumers: dict[str, list[Node]] = {node.name: [] for node in self.nodes}
        for node in self.nodes:
            for name in node.inputs:
                consumers[name].append(node)
        return consumers

    def uses(self) -> dict[str, list[Node]]:
        """Key of each set of weights to the nodes that use it."""
        uses: dict[str, list[Node]] = {}
        for node in self.nodes:
            if node.weights:
                uses.setdefault(node.weights, []).append(node)
        return uses


def with_weights(graph: Graph, weights: Mapping[str, Weights]) -> Graph:
    """Give a graph other values in its weights.

    Args:
        graph: The graph.
        weights: Arrays of each set, by its key, in the shapes that `Graph.weights` has; sets that
            no node uses are left out.
    """
    used = {node.weights for node in graph.nodes}
    return replace(graph, weights={key: value for key, value in weights.items() if key in used})


def join_nodes(graph: Graph, name: str, other: str) -> Graph:
    """The graph without one node: what took from it takes from another node of the same output."""
    nodes = tuple(
        replace(node, inputs=_renamed(node.inputs, name, other))
        for node in graph.nodes
        if node.name != name
    )
    joined = replace(graph, nodes=nodes, outputs=_renamed(graph.outputs, name, other))
    return with_weights(joined, graph.weights)


def without(graph: Graph, name: str) -> Graph:
    """The graph without one node of one input: what took from it takes from that input."""
    (source,) = graph.by_name()[name].inputs
    return join_nodes(graph, name, source)


def replace_node(graph: Graph, name: str, nodes: Iterable[Node]) -> Graph:
    """Put other nodes in the place of one node; the last of them gives its output."""
    chain = tuple(nodes)
    last = chain[-1].name
    return replace(
        graph,
        nodes=tuple(
            new
            for node in graph.nodes
            for new in (
                chain
                if node.name == name
                else (replace(node, inputs=_renamed(node.inputs, name, last)),)
            )
        ),
        outputs=_renamed(graph.outputs, name, last),
    )


def _renamed(names: tuple[str, ...], old: str, new: str) -> tuple[str, ...]:
    return tuple(new if name == old else name for name in names)
