"""What comes in: a trained model in any of the forms that TensorFlow and Keras write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.architecture import StoredLayer, find_custom, find_lambda
from converters.custom_objects import unknown_layers
from converters.digest import bytes_of, sha256_of
from converters.errors import ConversionError
from converters.source_file import KERAS_3, SAVED_MODEL, TF_KERAS, TFLITE, SourceFile
from converters.tflite.isolated import run_isolated
from converters.tflite.reader import read_model
from converters.tflite.run import run_model
from converters.tflite.unpacked import Unpacked

Array = npt.NDArray[Any]

#: The name that a converted file's input gets; calibration samples are keyed by it.
INPUT_NAME = "input"

_SUPPORTED = (
    "give a tf-keras or Keras 3 model (.h5, .keras), a SavedModel folder or a float .tflite"
)
_SHAPES_HINT = (
    "kedge converts models with one float32 input and one output, both of fixed shape; wrap the "
    "model in one"
)
#: Rows of probabilities add up to 1 within this; logits of random inputs do not.
_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class LoadedModel:
    """A model that can be asked for answers.

    Attributes:
        path: Where it came from.
        kind: As in `SourceFile`.
        keras_model: The Keras object, or None for a graph.
        predict: float32 batch (n, *input_shape) to float32 answers (n, *output_shape); keeps the
            model and its variables alive.
        function: Concrete function of one float32 input named `INPUT_NAME`, batch 1; None for a
            .tflite.
        input_shape: Without the batch axis.
        output_shape: Of an answer, without the batch axis; of a classifier (scores,).
        probabilities: Whether the scores are probabilities rather than logits.
        sha256: Of the file or folder.
        size_bytes: Of the file or folder.
        content: Of a .tflite, made for a batch of one; None for the others.
    """

    path: Path
    kind: str
    keras_model: Any
    predict: Callable[[Array], Array]
    function: Any
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    probabilities: bool
    sha256: str
    size_bytes: int
    content: bytes | None = None

    @property
    def classes(self) -> int:
        """Classes that a classifier tells apart; one score tells two."""
        return max(2, int(np.prod(self.output_shape)))


def load_model(source: SourceFile, own: Mapping[str, Any] | None = None) -> LoadedModel:
    """Bring a model to life and check that it is one that kedge converts.

    Args:
        source: The file.
        own: The user's own layers by their names.

    Raises:
        ConversionError: It has layers that Keras does not bring, more than one input or output,
            a dynamic input shape, or it is no classifier; the message names what.
    """
    if source.kind == TF_KERAS:
        return _load_tf_keras(source, own or {})
    if source.kind == KERAS_3:
        return _load_keras_3(source, own or {})
    return {SAVED_MODEL: _load_graph, TFLITE: _load_tflite}[source.kind](source)


def _load_tf_keras(source: SourceFile, own: Mapping[str, Any]) -> LoadedModel:
    import tf_keras

    is_folder = source.path.is_dir()
    custom = find_custom(unknown_layers(source.layers, own), dir(tf_keras.layers))
    if is_folder and (custom or find_lambda(source.layers)):
        return _load_graph(source)
    _refuse_custom(source, custom)
    model = _loaded(tf_keras.models.load_model, source.path, own)
    if not isinstance(model, tf_keras.Model):
        return _load_graph(source)
    return _from_keras(source, model, TF_KERAS)


def _load_keras_3(source: SourceFile, own: Mapping[str, Any]) -> LoadedModel:
    import keras

    _refuse_custom(source, find_custom(unknown_layers(source.layers, own), dir(keras.layers)))
    return _from_keras(source, _loaded(keras.models.load_model, source.path, own), KERAS_3)


def _loaded(load: Callable[..., Any], path: Path, own: Mapping[str, Any]) -> Any:
    try:
        return load(str(path), custom_objects=dict(own), compile=False)
    except Exception as error:  # whatever Keras raises on a file that it cannot load
        first_line = (str(error) or type(error).__name__).strip().splitlines()[0]
        raise ConversionError(
            f"{path}: Keras cannot load it: {first_line}",
            "save it again with the Keras that it was trained with, and without custom objects",
        ) from error


def _refuse_custom(source: SourceFile, custom: StoredLayer | None) -> None:
    if custom is not None:
        raise ConversionError(
            f"{source.path}: layer {custom.name!r} is of the class {custom.class_name}, which is "
            "no layer of Keras",
            'name it by `custom_objects = "module:function"` in the [task] of a recipe, or save '
            "the model with `model.export(folder)` and convert that with ptq_w8a8",
        )


def _from_keras(source: SourceFile, model: Any, kind: str) -> LoadedModel:
    if not getattr(model, "built", False) or not getattr(model, "inputs", None):
        raise ConversionError(f"{source.path}: the model has no fixed input", _SHAPES_HINT)
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ConversionError(
            f"{source.path}: has {len(model.inputs)} inputs and {len(model.outputs)} outputs, "
            "expected one of each",
            _SHAPES_HINT,
        )
    dtype = model.inputs[0].dtype
    return _checked(
        source,
        kind,
        model,
        lambda x: model(x, training=False),
        tuple(model.inputs[0].shape),
        str(getattr(dtype, "name", dtype)),
    )


def _load_graph(source: SourceFile) -> LoadedModel:
    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(str(source.path))
        signatures = dict(loaded.signatures)
    except Exception as error:  # whatever TensorFlow raises on a damaged folder
        first_line = (str(error) or type(error).__name__).strip().splitlines()[0]
        raise ConversionError(
            f"{source.path}: TensorFlow cannot load it: {first_line}", _SUPPORTED
        ) from error
    name = "serving_default" if "serving_default" in signatures else next(iter(signatures), "")
    if not name:
        raise ConversionError(
            f"{source.path}: the SavedModel has no signature",
            "save it with `model.export(folder)` or with signatures={'serving_default': …}",
        )
    signature = signatures[name]
    inputs = signature.structured_input_signature[1]
    if len(inputs) != 1 or len(signature.structured_outputs) != 1:
        raise ConversionError(
            f"{source.path}: signature {name!r} has {len(inputs)} inputs and "
            f"{len(signature.structured_outputs)} outputs, expected one of each",
            _SHAPES_HINT,
        )
    (key, spec), (output,) = next(iter(inputs.items())), signature.structured_outputs
    if spec.shape.rank is None:
        raise ConversionError(f"{source.path}: its input has no fixed rank", _SHAPES_HINT)
    return _checked(
        source,
        SAVED_MODEL,
        None,
        # Through `loaded`, which owns the variables and must live as long as this.
        lambda x: loaded.signatures[name](**{key: x})[output],
        tuple(spec.shape),
        spec.dtype.name,
    )


def _load_tflite(source: SourceFile) -> LoadedModel:
    path = source.path
    model = read_model(path)
    if (len(model.inputs), len(model.outputs), model.subgraphs) != (1, 1, 1):
        raise ConversionError(
            f"{path}: has {len(model.inputs)} inputs, {len(model.outputs)} outputs and "
            f"{model.subgraphs} subgraphs, expected one of each",
            _SHAPES_HINT,
        )
    (spec,), (output,) = model.inputs, model.outputs
    batch_shape = tuple(None if axis < 0 else axis for axis in spec.shape)
    input_shape = _fixed_shape(path, batch_shape, spec.dtype)
    if len(output.shape) < 2 or min(output.shape[1:]) < 1:
        raise _wrong_output(path, output.shape)
    # First where a crash is a message: nobody knows what made the file.
    run_isolated(path, {spec.name: np.zeros((1, *input_shape), np.float32)})

    def predict(batch: Array) -> Array:
        return run_model(path, {spec.name: batch.astype(np.float32)})[output.name]

    fixed = Unpacked(path.read_bytes())
    fixed.fix_batch()
    return LoadedModel(
        path=path,
        kind=TFLITE,
        keras_model=None,
        predict=predict,
        function=None,
        input_shape=input_shape,
        output_shape=tuple(output.shape[1:]),
        probabilities=_gives_probabilities(predict, input_shape, None),
        sha256=sha256_of(path),
        size_bytes=bytes_of(path),
        content=fixed.packed(),
    )


def _wrong_output(path: Path, shape: tuple[int | None, ...]) -> ConversionError:
    return ConversionError(
        f"{path}: its output has the shape {shape}, expected (batch, …) of fixed size", _SHAPES_HINT
    )


def _checked(
    source: SourceFile,
    kind: str,
    keras_model: Any,
    call: Callable[[Any], Any],
    batch_shape: tuple[int | None, ...],
    dtype: str,
) -> LoadedModel:
    input_shape = _fixed_shape(source.path, batch_shape, dtype)
    function = batch_one_function(call, input_shape)
    outputs = tuple(function.outputs[0].shape)
    if len(outputs) < 2 or not all(outputs[1:]):
        raise _wrong_output(source.path, outputs)
    predict = _predictor(call, batch_shape)
    return LoadedModel(
        path=source.path,
        kind=kind,
        keras_model=keras_model,
        predict=predict,
        function=function,
        input_shape=input_shape,
        output_shape=tuple(int(axis) for axis in outputs[1:]),
        probabilities=_gives_probabilities(predict, input_shape, keras_model),
        sha256=sha256_of(source.path),
        size_bytes=bytes_of(source.path),
    )


def _fixed_shape(path: Path, batch_shape: tuple[int | None, ...], dtype: str) -> tuple[int, ...]:
    if dtype != "float32":
        raise ConversionError(f"{path}: its input is {dtype}, expected float32", _SHAPES_HINT)
    if batch_shape[:1] not in ((None,), (1,)) or len(batch_shape) < 2:
        raise ConversionError(
            f"{path}: its input has the shape {batch_shape}, expected a free batch axis first",
            _SHAPES_HINT,
        )
    if None in batch_shape[1:]:
        raise ConversionError(
            f"{path}: its input has the shape {batch_shape}; axes past the batch must be fixed, as "
            "boards plan their memory ahead",
            "build the model again with an input of the size that it is to run with",
        )
    return tuple(int(axis) for axis in batch_shape[1:] if axis is not None)


def batch_one_function(call: Callable[[Any], Any], input_shape: tuple[int, ...]) -> Any:
    """A model as one graph of a batch of one, from which every .tflite is made.

    Args:
        call: Takes and returns a tensor.
        input_shape: Without the batch axis.
    """
    import tensorflow as tf

    spec = tf.TensorSpec((1, *input_shape), tf.float32, name=INPUT_NAME)
    # A function of its own: an argument's name becomes part of the .tflite.
    return tf.function(lambda x: call(x)).get_concrete_function(spec)  # noqa: PLW0108


def _predictor(
    call: Callable[[Any], Any], batch_shape: tuple[int | None, ...]
) -> Callable[[Array], Array]:
    import tensorflow as tf

    spec = tf.TensorSpec(batch_shape, tf.float32)
    graph = tf.function(call, input_signature=[spec])

    def predict(batch: Array) -> Array:
        if batch_shape[0] is None:
            return np.asarray(graph(tf.constant(batch, tf.float32)))
        rows = [graph(tf.constant(row[None], tf.float32)) for row in batch]
        return np.concatenate([np.asarray(row) for row in rows])

    return predict


def _gives_probabilities(
    predict: Callable[[Array], Array], input_shape: tuple[int, ...], keras_model: Any
) -> bool:
    """Whether the scores are probabilities: a softmax says so for any input at all."""
    noise = np.random.default_rng(0).uniform(0, 1, (8, *input_shape)).astype(np.float32)
    scores = predict(noise)
    if scores.ndim != 2:
        return False
    if scores.shape[1] > 1:
        sums = scores.sum(axis=1)
        return bool((scores >= 0).all() and (np.abs(sums - 1) < _SUM_TOLERANCE).all())
    last = keras_model.layers[-1].get_config() if keras_model is not None else {}
    if "activation" in last:
        return "sigmoid" in str(last["activation"])
    return bool(((scores >= 0) & (scores <= 1)).all())
