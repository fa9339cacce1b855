"""The user's own layers, losses and metrics, by the names that a model's file has for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from converters.data.task import TaskWish
from converters.data.user_function import user_function
from converters.errors import ConversionError


def custom_objects(wish: TaskWish) -> dict[str, Any]:
    """Call the recipe's `custom_objects`; an empty dict where the recipe names none.

    The function returns a dict of names to classes or functions. One that returns nothing has
    registered them with Keras' own decorator when its module was imported.

    Raises:
        ConversionError: It cannot be imported, raises, or returns something else.
    """
    function = user_function(wish.custom_objects, wish.folder)
    if function is None:
        return {}
    returned = function.call()
    if returned is None:
        returned = _registered()
    right = isinstance(returned, Mapping) and all(
        isinstance(name, str) and callable(value) for name, value in returned.items()
    )
    if not right or not returned:
        raise ConversionError(
            f"{function}: returned {type(returned).__name__}, expected a dict of names to classes",
            "Return {'MyLayer': MyLayer}, or decorate the classes with "
            "@keras.saving.register_keras_serializable() and return nothing.",
        )
    return dict(returned)


def _registered() -> dict[str, Any]:
    import keras
    import tf_keras

    return {
        **tf_keras.saving.get_custom_objects(),
        **keras.saving.get_custom_objects(),
    }
