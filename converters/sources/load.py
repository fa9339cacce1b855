"""What comes in: a trained model in any of the forms that TensorFlow and Keras write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.dataset import InputForm
from converters.data.fields import from_keras_outputs, select_field
from converters.data.names import INPUT_NAME, OUTPUT_NAME, plain_names
from converters.data.task import TaskWish
from converters.digest import bytes_of, sha256_of
from converters.errors import ConversionError
from converters.graph.keras.read import read_graph
from converters.graph.node import Graph
from converters.sources.architecture import StoredLayer, find_custom, find_lambda
from converters.sources.custom_objects import unknown_layers
from converters.sources.inputs_outputs import (
    End,
    Probabilities,
    field_names,
    gives_probabilities,
    sure_probabilities,
)
from converters.sources.model_function import batch_one_function, predictor_of
from converters.sources.source_file import KERAS_3, SAVED_MODEL, TF_KERAS, TFLITE, SourceFile
from converters.tflite.inputs_outputs import file_names, rename_inputs_outputs
from converters.tflite.isolated import run_isolated
from converters.tflite.reader import read_model
from converters.tflite.run import run_model
from converters.tflite.unpacked import UnpackedModel

Array = npt.NDArray[Any]

_SUPPORTED = (
    "give a tf-keras or Keras 3 model (.h5, .keras), a SavedModel folder or a float .tflite"
)
_SHAPES_HINT = (
    "kedge converts models of float32 inputs, and of inputs and outputs of fixed shape; wrap the "
    "model in one"
)


@dataclass(frozen=True)
class LoadedModel:
    """A model that can be asked for answers."""

    path: Path
    """Where it came from."""
    kind: str
    """As in `SourceFile`."""
    keras_model: Any
    """The Keras object, or None for a graph."""
    predict: Callable[[Array], Array]
    """float32 batch (n, *shape) to float32 answers (n, *shape), of several inputs or outputs with a
    field for each; keeps the model and its variables alive."""
    function: Any
    """Concrete function of a batch of one, its inputs and outputs called as the ends are; None for
    a .tflite."""
    inputs: tuple[End, ...]
    """In the order in which the Keras model takes a list of them."""
    outputs: tuple[End, ...]
    """In the order in which it gives them."""
    probabilities: Probabilities
    """Whether a classifier's scores are probabilities rather than logits."""
    sha256: str
    """Of the file or folder."""
    size_bytes: int
    """Of the file or folder."""
    content: bytes | None = None
    """Of a .tflite, made for a batch of one; None for the others."""

    def form(self, wish: TaskWish) -> InputForm:
        """What its data must look like.

        Raises:
            TaskError: What a recipe says about the task does not fit its outputs.
        """
        inputs = {end.name: end.shape for end in self.inputs} if len(self.inputs) > 1 else {}
        answers = {end.name: end.shape for end in self.outputs} if len(self.outputs) > 1 else {}
        wish.check_outputs(tuple(answers))
        return InputForm(
            () if inputs else self.inputs[0].shape,
            self.classes,
            None if answers else self.outputs[0].shape,
            wish,
            inputs=inputs,
            answers=answers,
            probabilities=sure_probabilities(self.probabilities, self.outputs, self.keras_model),
        )

    @cached_property
    def graph(self) -> Graph:
        """The model as kedge's graph, folded. Read once, when it is first needed.

        Raises:
            ConversionError: It has no Keras layers, or a layer cannot be represented; the message
                names the layer.
        """
        return read_graph(self.keras_model, str(self.path))

    def function_of(self, call: Callable[[Any], Any]) -> Any:
        """Another model of the same inputs and outputs as a graph of a batch of one."""
        return batch_one_function(call, self.inputs, self.outputs)

    @property
    def classes(self) -> int:
        """Classes that a classifier of one output tells apart; one score tells two."""
        return max(2, int(np.prod(self.outputs[0].shape)))

    @property
    def classes_of_outputs(self) -> int | dict[str, int]:
        """The same; of several outputs by their names."""
        if len(self.outputs) == 1:
            return self.classes
        return {end.name: max(2, int(np.prod(end.shape))) for end in self.outputs}


def load_model(source: SourceFile, own: Mapping[str, Any] | None = None) -> LoadedModel:
    """Bring a model to life and check that it is one that kedge converts.

    Args:
        source: The file.
        own: The user's own layers by their names.

    Raises:
        ConversionError: It has layers that Keras does not bring, an input that is not float32, or
            one of a dynamic shape; the message names what.
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
    takes = [
        (_plain_name(tensor), tuple(tensor.shape), _dtype(tensor.dtype)) for tensor in model.inputs
    ]
    # A Sequential of Keras 3 has a single output and no name for it.
    names = tuple(map(str, getattr(model, "output_names", (OUTPUT_NAME,))))
    return _checked(source, kind, model, _call_of(model), takes, names)


def _call_of(model: Any) -> Callable[[Any], Any]:
    """Calls a Keras model with a tensor, or a list in the order of its inputs."""
    struct = getattr(model, "_inputs_struct", None)
    if not isinstance(struct, dict):
        return lambda x: model(x, training=False)
    # One of Keras 3 that was made with a dict takes nothing but a dict.
    places = {id(tensor): place for place, tensor in enumerate(model.inputs)}

    def call(x: Any) -> Any:
        tensors = x if isinstance(x, list) else [x]
        named = {key: tensors[places[id(tensor)]] for key, tensor in struct.items()}
        return model(named, training=False)

    return call


def _plain_name(tensor: Any) -> str:
    return str(tensor.name).partition(":")[0]


def _dtype(dtype: Any) -> str:
    return str(getattr(dtype, "name", dtype))


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
    for key, spec in inputs.items():
        if spec.shape.rank is None:
            raise ConversionError(
                f"{source.path}: its input {key!r} has no fixed rank", _SHAPES_HINT
            )
    keys = tuple(inputs)
    takes = [(key, tuple(spec.shape), spec.dtype.name) for key, spec in inputs.items()]

    def call(x: Any) -> Any:
        # Through `loaded`, which owns the variables and must live as long as this.
        tensors = x if isinstance(x, (list, tuple)) else [x]
        return loaded.signatures[name](**dict(zip(keys, tensors, strict=True)))

    names = tuple(sorted(signature.structured_outputs))
    return _checked(source, SAVED_MODEL, None, call, takes, names)


def _load_tflite(source: SourceFile) -> LoadedModel:
    path = source.path
    model = read_model(path)
    if model.subgraphs != 1:
        raise ConversionError(
            f"{path}: has {model.subgraphs} subgraphs, expected one", "give a model without them"
        )
    # By the names that its signature gives them.
    of_file = file_names(UnpackedModel(path.read_bytes()))
    takes = [
        (of_file.inputs[position], _batch_shape(spec.shape), spec.dtype)
        for position, spec in enumerate(model.inputs)
    ]
    inputs = _inputs(path, takes)
    names = plain_names(of_file.outputs, OUTPUT_NAME)
    for output in model.outputs:
        if len(output.shape) < 2 or min(output.shape[1:]) < 1:
            raise _wrong_output(path, output.shape)
    outputs = tuple(
        End(name, tuple(spec.shape[1:])) for name, spec in zip(names, model.outputs, strict=True)
    )
    tensors = {
        spec.name: end.name if len(inputs) > 1 else ""
        for spec, end in zip(model.inputs, inputs, strict=True)
    }
    # First where a crash is a message: nobody knows what made the file.
    nothing = {
        spec.name: np.zeros((1, *end.shape), np.float32)
        for spec, end in zip(model.inputs, inputs, strict=True)
    }
    run_isolated(path, nothing)

    def predict(batch: Array) -> Array:
        taken = {name: select_field(batch, end).astype(np.float32) for name, end in tensors.items()}
        answers = run_model(path, taken)
        given = [answers[spec.name] for spec in model.outputs]
        return from_keras_outputs(given if len(given) > 1 else given[0], field_names(outputs))

    fixed = UnpackedModel(path.read_bytes())
    fixed.fix_batch()
    content = fixed.pack()
    alone = len(inputs) == len(outputs) == 1  # an application may know them by their names
    return LoadedModel(
        path=path,
        kind=TFLITE,
        keras_model=None,
        predict=predict,
        function=None,
        inputs=inputs,
        outputs=outputs,
        probabilities=gives_probabilities(predict, inputs, outputs, None),
        sha256=sha256_of(path),
        size_bytes=bytes_of(path),
        content=content if alone else rename_inputs_outputs(content),
    )


def _batch_shape(shape: tuple[int, ...]) -> tuple[int | None, ...]:
    return tuple(None if axis < 0 else axis for axis in shape)


def _wrong_output(path: Path, shape: tuple[int | None, ...]) -> ConversionError:
    return ConversionError(
        f"{path}: its output has the shape {shape}, expected (batch, …) of fixed size", _SHAPES_HINT
    )


def _checked(
    source: SourceFile,
    kind: str,
    keras_model: Any,
    call: Callable[[Any], Any],
    takes: Sequence[tuple[str, tuple[int | None, ...], str]],
    output_names: Sequence[str],
) -> LoadedModel:
    """Check a model.

    Args:
        source: Where it comes from.
        kind: As in `SourceFile`.
        keras_model: The Keras object, if it is one.
        call: As for `batch_one_function`.
        takes: Of each input its name, its shape with the batch axis, and its type.
        output_names: In the order of the flattened outputs.
    """
    inputs = _inputs(source.path, takes)
    names = plain_names(output_names, OUTPUT_NAME)
    function = batch_one_function(call, inputs, [End(name, ()) for name in names])
    shapes = [tuple(tensor.shape) for tensor in _in_order(function.structured_outputs, names)]
    for shape in shapes:
        if len(shape) < 2 or not all(shape[1:]):
            raise _wrong_output(source.path, shape)
    outputs = tuple(
        End(name, tuple(int(axis) for axis in shape[1:]))
        for name, shape in zip(names, shapes, strict=True)
    )
    free = all(shape[0] is None for _, shape, _ in takes)
    predict = predictor_of(call, inputs, outputs, free)
    return LoadedModel(
        path=source.path,
        kind=kind,
        keras_model=keras_model,
        predict=predict,
        function=function,
        inputs=inputs,
        outputs=outputs,
        probabilities=gives_probabilities(predict, inputs, outputs, keras_model),
        sha256=sha256_of(source.path),
        size_bytes=bytes_of(source.path),
    )


def _in_order(given: Any, names: Sequence[str]) -> list[Any]:
    return [given[name] for name in names] if isinstance(given, dict) else [given]


def _inputs(
    path: Path, takes: Sequence[tuple[str, tuple[int | None, ...], str]]
) -> tuple[End, ...]:
    names = plain_names([name for name, _, _ in takes], INPUT_NAME)
    return tuple(
        End(
            name, _fixed_shape(path, f"input {name!r}" if len(takes) > 1 else "input", shape, dtype)
        )
        for name, (_, shape, dtype) in zip(names, takes, strict=True)
    )


def _fixed_shape(
    path: Path, what: str, batch_shape: tuple[int | None, ...], dtype: str
) -> tuple[int, ...]:
    if dtype != "float32":
        raise ConversionError(f"{path}: its {what} is {dtype}, expected float32", _SHAPES_HINT)
    if batch_shape[:1] not in ((None,), (1,)) or len(batch_shape) < 2:
        raise ConversionError(
            f"{path}: its {what} has the shape {batch_shape}, expected a free batch axis first",
            _SHAPES_HINT,
        )
    if None in batch_shape[1:]:
        raise ConversionError(
            f"{path}: its {what} has the shape {batch_shape}; axes past the batch must be fixed, "
            "as boards plan their memory ahead",
            "build the model again with an input of the size that it is to run with",
        )
    return tuple(int(axis) for axis in batch_shape[1:] if axis is not None)
