"""Readers of attention and of normalizations over a sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from converters.graph.builder import GraphBuilder, Ref
from converters.graph.keras.calls import Call
from converters.graph.node import DENSE

#: Number that stands in the place of a masked score, as in Keras.
_MASKED = -1e9


def read_attention(builder: GraphBuilder, call: Call) -> Ref:
    """Read MultiHeadAttention: Dense layers, products of matrices, and a mask that is constant.

    Raises:
        ConversionError: The graph cannot represent the layer; the message names it and says why.
    """
    layer = call.layer
    config = layer.get_config()
    names = ("query", "value", "key")
    given = dict(zip(names, call.args, strict=False)) | call.kwargs
    query, value = given["query"], given["value"]
    key = given["key"] if given.get("key") is not None else value
    if any(len(source.shape) != 2 for source in (query, key, value)):
        raise builder.refusal(call.source_layer, "of other axes than (length, channels)")
    if given.get("return_attention_scores"):
        raise builder.refusal(call.source_layer, "that gives its scores")
    heads, size = config["num_heads"], config["key_dim"]
    value_size = config["value_dim"] or size
    # The scores are multiplied by 1 / sqrt(size): so is the kernel that makes the queries.
    queries = _heads(builder, call, "query", query, (heads, size), 1 / np.sqrt(size))
    keys = _heads(builder, call, "key", key, (heads, size), 1.0)
    values = _heads(builder, call, "value", value, (heads, value_size), 1.0)
    square = (heads, query.shape[0], key.shape[0])
    scores = builder.add(
        f"{call.name}_scores", "matmul", (queries, keys), square, {"transpose_b": True}
    )
    mask = _mask(builder, call, given, square[1:])
    if mask is not None:
        scores = builder.add_constant(f"{call.name}_mask", scores, np.where(mask, 0.0, _MASKED))
    weights = builder.activation(f"{call.name}_softmax", scores, "softmax", axis=-1)
    by_head = (heads, query.shape[0], value_size)
    answers = builder.add(
        f"{call.name}_values", "matmul", (weights, values), by_head, {"transpose_b": False}
    )
    turned = (query.shape[0], heads, value_size)
    joined = builder.add(f"{call.name}_turned", "permute", (answers,), turned, {"dims": (2, 1, 3)})
    flat = builder.add(f"{call.name}_joined", "reshape", (joined,), (turned[0], heads * value_size))
    arrays = _dense_arrays(layer._output_dense, (heads * value_size, -1), 1.0)
    key_of_weights = builder.add_weights(call.source_layer, "output", **arrays)
    return builder.add(call.name, DENSE, (flat,), call.shape, weights=key_of_weights)


def _heads(
    builder: GraphBuilder,
    call: Call,
    part: str,
    source: Ref,
    sizes: tuple[int, int],
    factor: float,
) -> Ref:
    """Make queries, keys or values: (heads, length, size)."""
    length, (heads, size) = source.shape[0], sizes
    dense = getattr(call.layer, f"_{part}_dense")
    arrays = _dense_arrays(dense, (source.shape[-1], heads * size), factor)
    weights = builder.add_weights(call.source_layer, part, **arrays)
    name = f"{call.name}_{part}"
    flat = builder.add(name, DENSE, (source,), (length, heads * size), weights=weights)
    apart = builder.add(f"{name}_apart", "reshape", (flat,), (length, heads, size))
    return builder.add(
        f"{name}_heads", "permute", (apart,), (heads, length, size), {"dims": (2, 1, 3)}
    )


def _dense_arrays(dense: Any, shape: tuple[int, int], factor: float) -> dict[str, Any]:
    kernel = np.asarray(dense.kernel).reshape(shape)
    bias = getattr(dense, "bias", None)
    bias = np.zeros(kernel.shape[-1]) if bias is None else np.asarray(bias).reshape(-1)
    return {"kernel": kernel * factor, "bias": bias * factor}


def _mask(
    builder: GraphBuilder, call: Call, given: dict[str, Any], square: tuple[int, int]
) -> npt.NDArray[np.bool_] | None:
    """Places that are attended to, shape (queries, keys) or with the heads before; None for all."""
    if any(isinstance(value, Ref) for name, value in given.items() if name.endswith("mask")):
        raise builder.refusal(call.source_layer, "with a mask that depends on the input")
    mask = np.tri(*square, dtype=bool) if given.get("use_causal_mask") else None
    attended = given.get("attention_mask")
    if attended is None:
        return mask
    constant = np.asarray(attended).astype(bool)
    if constant.ndim > 2 and constant.shape[0] != 1:
        raise builder.refusal(call.source_layer, "with a mask for each sample")
    constant = constant[0] if constant.ndim > 2 else constant
    return constant if mask is None else mask & constant


def read_layer_norm(builder: GraphBuilder, call: Call) -> Ref:
    """Read LayerNormalization over the last axis.

    Raises:
        ConversionError: The graph cannot represent the layer; the message names it and says why.
    """
    layer, (source,) = call.layer, call.sources
    axes = tuple(np.atleast_1d(np.asarray(layer.axis)))
    if [int(axis) for axis in axes] not in ([-1], [len(source.shape)]):
        raise builder.refusal(call.source_layer, "over other axes than the last")
    if getattr(layer, "rms_scaling", False):
        raise builder.refusal(call.source_layer, "with rms_scaling")
    plain = {"epsilon": float(layer.epsilon)}
    weights = builder.add_weights(call.source_layer, **_gamma_and_beta(layer, source.shape[-1]))
    return builder.add(call.name, "layer_norm", (source,), call.shape, plain, weights)


def read_group_norm(builder: GraphBuilder, call: Call) -> Ref:
    """Read GroupNormalization of channels on the last axis.

    Raises:
        ConversionError: The graph cannot represent the layer; the message names it and says why.
    """
    layer, (source,) = call.layer, call.sources
    if layer.axis not in (-1, len(source.shape)):
        raise builder.refusal(call.source_layer, f"on axis {layer.axis}, not on the last")
    channels = source.shape[-1]
    groups = channels if layer.groups == -1 else int(layer.groups)
    plain = {"groups": groups, "epsilon": float(layer.epsilon)}
    weights = builder.add_weights(call.source_layer, **_gamma_and_beta(layer, channels))
    return builder.add(call.name, "group_norm", (source,), call.shape, plain, weights)


def read_unit_norm(builder: GraphBuilder, call: Call) -> Ref:
    """Read UnitNormalization over the last axis.

    Raises:
        ConversionError: The graph cannot represent the layer; the message names it and says why.
    """
    axis = np.atleast_1d(np.asarray(call.layer.axis)).tolist()
    if axis not in ([-1], [len(call.shape)]):
        raise builder.refusal(call.source_layer, "over other axes than the last")
    return builder.add(call.name, "unit_norm", call.sources, call.shape)


def read_rms_norm(builder: GraphBuilder, call: Call) -> Ref:
    """Read RMSNormalization: the unit length times sqrt(channels), whose epsilon is nothing.

    Raises:
        ConversionError: The graph cannot represent the layer; the message names it and says why.
    """
    channels = call.shape[-1]
    unit = read_unit_norm(builder, call)
    scale = np.sqrt(channels) * np.asarray(getattr(call.layer, "scale", np.ones(channels)))
    return builder.affine(call.source_layer, unit, scale, 0.0)


def _gamma_and_beta(layer: Any, channels: int) -> dict[str, Any]:
    gamma, beta = getattr(layer, "gamma", None), getattr(layer, "beta", None)
    return {
        "gamma": np.ones(channels) if gamma is None else np.asarray(gamma),
        "beta": np.zeros(channels) if beta is None else np.asarray(beta),
    }
