"""From a graph back to a Keras model: a fresh, functional tf-keras one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from converters.data.resized_samples import resize_weights
from converters.errors import ConversionError
from converters.graph.constant_factors import is_constant_factor
from converters.graph.node import (
    ACTIVATION,
    ADD,
    CAST,
    CONCAT,
    CONV,
    CONV_TRANSPOSE,
    DENSE,
    DEPTHWISE,
    EMBEDDING,
    EPSILON,
    INPUT,
    NORM,
    RECURRENT,
    Graph,
    Node,
    Weights,
    with_weights,
)
from converters.graph.recurrent_layers import in_order, recurrent_layer
from converters.graph.resized_input import shape_of_samples
from converters.graph.sample_norm import SampleNorm
from converters.graph.tensor_functions import TENSOR_FUNCTIONS

layers = tf_keras.layers

#: Momentum of the statistics of BatchNormalization: quick enough for a short fine-tuning.
_MOMENTUM = 0.95

#: Upper limit of the nested calls of tf-keras for each layer of a model.
_CALLS_A_LAYER = 4

#: Given a node and its plain layer: the layer to use in its place.
Wrap = Callable[[Node, Any], Any]
Factory = Callable[[Node, Weights], Any]


def hard_swish(x: Any) -> Any:
    """Hard swish, x * relu6(x + 3) / 6; TFLite has an op for it."""
    return x * tf.nn.relu6(x + 3.0) / 6.0


def gelu_tanh(x: Any) -> Any:
    """The approximation of gelu by tanh."""
    return tf.nn.gelu(x, approximate=True)


def to_floats(x: Any) -> Any:
    """Whole numbers as float32."""
    return tf.cast(x, tf.float32)


# A saved model names them; loading one finds them again.
for _function in (hard_swish, gelu_tanh, to_floats):
    tf_keras.utils.register_keras_serializable(package="kedge")(_function)


def build_model(graph: Graph, wrap: Wrap | None = None) -> Any:
    """Make a tf-keras model of a graph; its layers are called what the nodes are called.

    Args:
        graph: A graph without `affine`: folded, or unfolded again.
        wrap: Changes a layer before it is used, such as by fake quantization; an input's is an
            identity that stands behind it.

    Raises:
        ConversionError: tf-keras refuses a layer.
    """
    # tf-keras follows the layers of a model by recursion, a few calls for each.
    sys.setrecursionlimit(max(sys.getrecursionlimit(), _CALLS_A_LAYER * len(graph.nodes)))
    inputs = {
        node.name: tf_keras.Input(
            shape_of_samples(node), name=node.name, dtype=node.attributes.get("dtype", "float32")
        )
        for node in graph.nodes
        if node.op == INPUT
    }
    values: dict[str, Any] = {
        node.name: _resize_samples(node, inputs[node.name])
        for node in graph.nodes
        if node.op == INPUT
    }
    layers_by_key: dict[str, Any] = {}
    for node in graph.nodes:
        arguments = [values[name] for name in node.inputs or (node.name,)]
        try:
            values[node.name] = _apply(node, graph, arguments, layers_by_key, wrap)
        except (ValueError, TypeError) as error:
            first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ConversionError(
                f"{graph.name}: layer {node.name!r} ({node.words}) cannot be built: {first_line}",
                "Report the model.",
            ) from error
    # A model of one input or output is not one of a list of one.
    sides = [list(inputs.values()), [values[name] for name in graph.outputs]]
    model = tf_keras.Model(*(x if len(x) > 1 else x[0] for x in sides), name=graph.name)
    _set_weights(graph, layers_by_key)
    return model


def weights_of(graph: Graph, model: Any) -> Graph:
    """The graph with the weights that a model built from it has now.

    Args:
        graph: Graph that `build_model` made the model of, with or without wrapping.
        model: The model, trained on meanwhile.
    """
    weights = {}
    for key, old in graph.weights.items():
        variables = variables_of(graph, model, key)
        weights[key] = {
            name: np.asarray(variable).reshape(old[name].shape)
            for name, variable in variables.items()
        }
    return with_weights(graph, weights)


def variables_of(graph: Graph, model: Any, key: str) -> dict[str, Any]:
    """The model's variables for one set of the graph's weights, by name.

    Args:
        graph: Graph that the model was built from.
        model: The model.
        key: Key of the weights.
    """
    node = graph.uses()[key][0]
    layer = next(x for x in model.layers if getattr(x, "layer", x).name == node.name)
    return _variables(layer, node.op, graph.weights[key])


def _apply(
    node: Node, graph: Graph, arguments: list[Any], by_key: dict[str, Any], wrap: Wrap | None
) -> Any:
    if node.op == INPUT and wrap is None:
        return arguments[0]
    if node.op in TENSOR_FUNCTIONS:
        arguments = [TENSOR_FUNCTIONS[node.op](node, *arguments)]
    key = node.weights or node.name
    if key not in by_key:
        # Behind a function, a layer that changes nothing has the name, and can be wrapped.
        is_function = node.op in TENSOR_FUNCTIONS and node.op not in LAYERS
        factory = _nothing if is_function else LAYERS[node.op]
        layer = factory(node, graph.weights.get(node.weights, {}))
        by_key[key] = wrap(node, layer) if wrap else layer
    answer = by_key[key](arguments if len(arguments) > 1 else arguments[0])
    return in_order(node, answer) if node.op in RECURRENT else answer


def _resize_samples(node: Node, samples: Any) -> Any:
    """Samples of the shape of an input; only a model that trains resizes them."""
    for axis, size in enumerate(shape_of_samples(node)[:-1]):
        if node.shape[axis] != size:
            letters = "abcd"[: len(node.shape) + 1]
            resized = letters.replace(letters[axis + 1], "x")
            weights = tf.constant(resize_weights(size, node.shape[axis]))
            samples = tf.einsum(f"x{letters[axis + 1]},{letters}->{resized}", weights, samples)
    return samples


def _set_weights(graph: Graph, by_key: Mapping[str, Any]) -> None:
    uses = graph.uses()
    for key, arrays in graph.weights.items():
        for name, variable in _variables(by_key[key], uses[key][0].op, arrays).items():
            variable.assign(arrays[name].reshape(variable.shape))


def _variables(layer: Any, op: str, arrays: Weights) -> dict[str, Any]:
    """Name of each array to its variable, which TFMOT's wrapper takes out of the layer."""
    by_name = {variable.name.split("/")[-1].split(":")[0]: variable for variable in layer.weights}
    return {name: by_name[called] for name, called in variable_names(op, arrays).items()}


def variable_names(op: str, arrays: Iterable[str]) -> dict[str, str]:
    """Name of each array of a node to that of the layer's variable."""
    kernel = "depthwise_kernel" if op == DEPTHWISE else "kernel"
    by_array = {"kernel": kernel, "table": "embeddings", "recurrent": "recurrent_kernel"}
    return {name: by_array.get(name, name) for name in arrays}


def _window(node: Node) -> dict[str, Any]:
    """Arguments that all layers with a kernel that moves over an image have."""
    plain = node.attributes
    return {
        "strides": plain["strides"],
        "padding": plain["padding"],
        "dilation_rate": plain["dilation"],
        "name": node.name,
    }


def _conv(node: Node, weights: Weights) -> Any:
    size, filters = weights["kernel"].shape[:2], weights["kernel"].shape[-1]
    return layers.Conv2D(filters, size, groups=node.attributes["groups"], **_window(node))


def _conv_transpose(node: Node, weights: Weights) -> Any:
    size, filters = weights["kernel"].shape[:2], weights["kernel"].shape[-2]
    return layers.Conv2DTranspose(filters, size, **_window(node))


def _depthwise(node: Node, weights: Weights) -> Any:
    size, multiplier = weights["kernel"].shape[:2], weights["kernel"].shape[-1]
    learns = not is_constant_factor(node, weights)
    return layers.DepthwiseConv2D(
        size, depth_multiplier=multiplier, trainable=learns, **_window(node)
    )


def _dense(node: Node, weights: Weights) -> Any:
    return layers.Dense(weights["kernel"].shape[-1], name=node.name)


def _embedding(node: Node, weights: Weights) -> Any:
    return layers.Embedding(*weights["table"].shape, name=node.name)


def _prelu(node: Node, weights: Weights) -> Any:
    axes = [axis + 1 for axis, size in enumerate(weights["alpha"].shape) if size == 1]
    if node.shape == weights["alpha"].shape:
        axes = []
    return layers.PReLU(shared_axes=axes or None, name=node.name)


def _register(name: str, function: Callable[[Any], Any]) -> Any:
    """A function of TensorFlow under a name by which a saved model finds it again."""

    def compute(x: Any) -> Any:
        return function(x)

    compute.__name__ = name
    return tf_keras.utils.register_keras_serializable("kedge", name)(compute)


#: Name of an activation to its function, where tf-keras does not know it by this name.
_BY_NAME: dict[str, Any] = {
    "hard_swish": hard_swish,
    "reciprocal": _register("reciprocal", tf.math.reciprocal),
    "log_softmax": _register("log_softmax", tf.nn.log_softmax),
    **{
        name: _register(name, getattr(tf.math, name))
        for name in ("square", "sqrt", "rsqrt", "abs", "log")
    },
}


def _activation(node: Node, _: Weights) -> Any:
    plain, name = dict(node.attributes), node.name
    function = plain["function"]
    if function == "relu":
        return layers.ReLU(name=name)
    if function == "relu6":
        return layers.ReLU(6.0, name=name)
    if function == "relu_of":
        return layers.ReLU(plain["max_value"], plain["slope"], plain["threshold"], name=name)
    if function == "leaky_relu":
        return layers.LeakyReLU(plain["slope"], name=name)
    if function == "elu":
        return layers.ELU(plain["alpha"], name=name)
    if function == "softmax":
        return layers.Softmax(plain["axis"], name=name)
    if function == "gelu" and plain["approximate"]:
        return layers.Activation(gelu_tanh, name=name)
    return layers.Activation(_BY_NAME.get(function, function), name=name)


def _pool(kind: str) -> Factory:
    def make(node: Node, _: Weights) -> Any:
        plain = node.attributes
        layer = getattr(layers, f"{kind}{len(plain['pool'])}D")
        return layer(plain["pool"], plain["strides"], plain["padding"], name=node.name)

    return make


def _global_pool(kind: str) -> Factory:
    def make(node: Node, _: Weights) -> Any:
        layer = getattr(layers, f"{kind}{node.attributes['rank']}D")
        return layer(keepdims=node.attributes["keepdims"], name=node.name)

    return make


def _merge(kind: str) -> Factory:
    return lambda node, _: getattr(layers, kind)(name=node.name)


def _nothing(node: Node, _: Weights) -> Any:
    return layers.Activation("linear", name=node.name)


def _layer_norm(node: Node, _: Weights) -> Any:
    return SampleNorm(node.attributes["epsilon"], name=node.name)


def _group_norm(node: Node, _: Weights) -> Any:
    plain = node.attributes
    return layers.GroupNormalization(plain["groups"], epsilon=plain["epsilon"], name=node.name)


#: Op to what makes its layer.
LAYERS: dict[str, Factory] = {
    INPUT: lambda node, _: layers.Identity(name=f"{node.name}_taken"),
    CONV: _conv,
    CONV_TRANSPOSE: _conv_transpose,
    DEPTHWISE: _depthwise,
    DENSE: _dense,
    NORM: lambda node, _: layers.BatchNormalization(
        momentum=_MOMENTUM, epsilon=EPSILON, name=node.name
    ),
    EMBEDDING: _embedding,
    **dict.fromkeys(RECURRENT, recurrent_layer),
    CAST: lambda node, _: layers.Activation(to_floats, name=node.name),
    "layer_norm": _layer_norm,
    "group_norm": _group_norm,
    "unit_norm": lambda node, _: layers.UnitNormalization(name=node.name),
    "prelu": _prelu,
    ACTIVATION: _activation,
    ADD: _merge("Add"),
    "subtract": _merge("Subtract"),
    "multiply": _merge("Multiply"),
    "maximum": _merge("Maximum"),
    "minimum": _merge("Minimum"),
    CONCAT: lambda node, _: layers.Concatenate(node.attributes["axis"], name=node.name),
    "max_pool": _pool("MaxPooling"),
    "average_pool": _pool("AveragePooling"),
    "global_average_pool": _global_pool("GlobalAveragePooling"),
    "global_max_pool": _global_pool("GlobalMaxPooling"),
    "zero_pad": lambda node, _: layers.ZeroPadding2D(node.attributes["padding"], name=node.name),
    "crop": lambda node, _: layers.Cropping2D(node.attributes["cropping"], name=node.name),
    "upsample": lambda node, _: layers.UpSampling2D(
        node.attributes["size"], interpolation=node.attributes["interpolation"], name=node.name
    ),
    "resize": lambda node, _: layers.Resizing(**node.attributes, name=node.name),
    "flatten": lambda node, _: layers.Flatten(name=node.name),
    "reshape": lambda node, _: layers.Reshape(node.shape, name=node.name),
    "permute": lambda node, _: layers.Permute(node.attributes["dims"], name=node.name),
}
