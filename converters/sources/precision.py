"""A Keras model of float16, bfloat16 or float64, built again to compute in float32."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

#: Names of types and policies that TFLite has no operators for.
_OTHERS = ("float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16")
_FLOAT32 = "float32"
#: Keys of a layer's config that name a type, or a policy of types.
_TYPE_KEYS = ("dtype", "dtype_policy", "output_dtype")


def in_float32(model: Any, own: Mapping[str, Any]) -> Any:
    """Build a model again whose layers compute in float32; the weights stay what they are.

    Args:
        model: Model of tf-keras or Keras 3.
        own: The user's own layers by their names.

    Returns:
        The new model; `model` itself where it computes in float32 or has no configuration.
    """
    try:
        config = model.get_config()
    except (NotImplementedError, TypeError, ValueError):  # a subclass without one
        return model
    changed = _with_float32(config)
    if changed == config:
        return model
    rebuilt = type(model).from_config(changed, custom_objects=dict(own))
    rebuilt.set_weights([_as_float32(np.asarray(array)) for array in model.get_weights()])
    return rebuilt


def _as_float32(array: Any) -> Any:
    is_float = array.dtype.kind == "f" or array.dtype.name == "bfloat16"
    return array.astype(np.float32) if is_float else array


def _with_float32(value: Any, of_type: bool = False) -> Any:
    """A configuration with float32 in the place of every other type of floats."""
    if isinstance(value, dict):
        return {
            key: _with_float32(inner, key in _TYPE_KEYS or of_type and key in ("config", "name"))
            for key, inner in value.items()
        }
    if isinstance(value, (list, tuple)):
        return type(value)(_with_float32(inner) for inner in value)
    return _FLOAT32 if of_type and value in _OTHERS else value
