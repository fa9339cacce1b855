"""Answers a sample for which the loop of a SavedModel, or of its .tflite, does not end."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from converters.deadline import watched
from converters.errors import ConversionError
from converters.sources import model_function
from converters.sources.load import load_model
from converters.sources.saved_model import recognise_saved_model
from converters.tflite import run
from converters.tflite.reader import read_model

_LONGEST_S = 2.0


class Loops(tf.Module):
    """A model whose loop ends after 3 steps, unless a value is above 5."""

    @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32, name="x")])  # type: ignore[untyped-decorator]
    def call(self, x: Any) -> dict[str, Any]:
        """Answer the input."""
        is_endless = tf.reduce_max(x) > 5.0
        steps = tf.while_loop(
            lambda i: tf.logical_or(i < 3.0, is_endless), lambda i: (i + 1.0,), (0.0,)
        )[0]
        return {"out": x + 0.0 * steps}


def end(error: ConversionError) -> None:
    """Show the error as the conversion's process would answer it."""
    sys.stdout.write(f"{error.exit_code} {error}\n")
    sys.stdout.flush()
    os._exit(0)


def main(kind: str, folder: Path) -> None:
    """Answer good samples, then the endless one."""
    model = Loops()
    tf.saved_model.save(model, str(folder / "model"), signatures={"serving_default": model.call})
    source = recognise_saved_model(folder / "model")
    assert source is not None
    loaded = load_model(source)
    good, endless = np.ones((3, 4), np.float32), np.full((1, 4), 9, np.float32)
    if kind == "saved_model":
        answer = loaded.predict
    else:
        path = folder / "model.tflite"
        converter = tf.lite.TFLiteConverter.from_concrete_functions([loaded.function])
        path.write_bytes(converter.convert())
        spec = read_model(path).inputs[0]

        def answer(batch: Any) -> Any:
            return next(iter(run.run_model(path, {spec.name: batch}).values()))

    watched.end_with = end
    model_function.LONGEST_SAMPLE_S = run.LONGEST_SAMPLE_S = _LONGEST_S
    assert np.array_equal(answer(good), good)
    answer(endless)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
