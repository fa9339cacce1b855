"""Names of inputs and outputs: those that data, golden inputs and every file know them by."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: Names of a single input and of a single output.
INPUT_NAME, OUTPUT_NAME = "input", "output"
#: Characters that TensorFlow or a .tflite would change in a name.
_STRANGE = re.compile(r"[^A-Za-z0-9_.-]+")


def plain_names(names: Sequence[str], single: str) -> tuple[str, ...]:
    """Make names unique and free of characters that TensorFlow or a .tflite would change.

    Args:
        names: Names of the inputs, or of the outputs, in the model: of Keras those of its layers,
            of a SavedModel those of the signature, of a .tflite those of the signature or tensors.
        single: Name of a single one, whatever the model calls it.

    Returns:
        Names in the order of `names`.
    """
    if len(names) == 1:
        return (single,)
    unique: list[str] = []
    for name in names:
        plain = name.removeprefix("serving_default_").partition(":")[0]
        plain = base = _STRANGE.sub("_", plain).lstrip("_.-") or "unnamed"
        number = 0
        while plain in unique:
            number += 1
            plain = f"{base}_{number}"
        unique.append(plain)
    return tuple(unique)
