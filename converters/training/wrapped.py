"""A model whose kernels TensorFlow Model Optimization changes while it is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import tf_keras

from converters.draft.draft import Draft, Materials, with_model
from converters.errors import ConversionError
from converters.training.parallel import copy_of, scope, unshared


def wrapped(model: Any, wrap: Callable[[Any], Any], materials: Materials, purpose: str) -> Any:
    """A copy of a model with some of its layers wrapped.

    Args:
        model: Of tf-keras; not changed.
        wrap: Takes a layer and returns it, or what is to stand in its place.
        materials: Whose strategy trains it.
        purpose: What it is wrapped for, for the message.

    Raises:
        ConversionError: A layer cannot be wrapped.
    """
    try:
        with scope(materials.strategy):
            # A copy, as wrapping ties the layers themselves into another graph.
            return tf_keras.models.clone_model(copy_of(model), clone_function=wrap)
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConversionError(
            f"{materials.source.path}: cannot be wrapped for {purpose}: {first_line}",
            "use a recipe without this step",
        ) from error


def unwrapped(
    draft: Draft, stripped: Any, materials: Materials, keep: str, found: dict[str, Any], note: str
) -> Draft:
    """The draft with what training left.

    Args:
        draft: What the step was given.
        stripped: The model without its wrappers.
        materials: As for `wrapped`.
        keep: What a later training has to keep of it, as in `Draft`.
        found: For conversion.json.
        note: What the user should know.
    """
    made = with_model(draft, unshared(stripped, materials.strategy), materials)
    return replace(made, keep=keep, warnings=(*draft.warnings, note), found=found)
