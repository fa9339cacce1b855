"""A model that was brought to life, and the checks of its inputs and outputs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.dataset import InputForm
from converters.data.names import INPUT_NAME, OUTPUT_NAME, plain_names
from converters.data.task import TaskWish
from converters.digest import bytes_of, sha256_of
from converters.errors import ConversionError
from converters.graph.keras.model import KerasModel
from converters.graph.keras.read import read_graph
from converters.graph.node import Graph
from converters.sources.architecture import StoredLayer
from converters.sources.inputs_outputs import (
    ModelTensor,
    Probabilities,
    gives_probabilities,
    input_dtypes,
    source_axes,
    sure_probabilities,
)
from converters.sources.load_limits import refuse_without_memory
from converters.sources.model_function import batch_one_function, predictor_of
from converters.sources.source_file import SourceFile
from converters.sources.text_inputs import text_refusal
from converters.sources.unused_inputs import find_unused_of_function

Array = npt.NDArray[Any]

#: Beginning of the line that has the reason.
_ERROR_NAME = re.compile(r"\w*Error: ")
#: Hint about inputs and outputs that kedge does not take.
SHAPES_HINT = (
    "kedge converts models whose inputs are numbers, and whose inputs and outputs have a fixed "
    "shape; wrap the model in one"
)

#: Types of inputs that stay what they are in the file.
WHOLE_NUMBERS = ("int32", "int64", "uint8", "int8", "int16", "bool")
#: Types of inputs that are float32 in the file.
FLOATS = ("float32", "float16", "bfloat16", "float64")


@dataclass(frozen=True)
class LoadedModel:
    """A model that gives answers."""

    path: Path
    """File or folder that it was loaded from."""
    kind: str
    """Kind of the model, a key of `SOURCES`."""
    keras_model: KerasModel | None
    """Keras object, or None for a graph."""
    predict: Callable[[Array], Array]
    """Function of a batch (n, *shape) to float32 answers (n, *shape); of several inputs or outputs
    arrays with a field for each. It keeps the model and its variables alive."""
    function: Any
    """Concrete function of a batch of one, with the names of `inputs` and `outputs`; None where
    there is `content`, or only a graph."""
    inputs: tuple[ModelTensor, ...]
    """Inputs in the order in which the Keras model takes a list of them."""
    outputs: tuple[ModelTensor, ...]
    """Outputs in the order in which the model gives them."""
    probabilities: Probabilities
    """Whether a classifier's scores are probabilities rather than logits."""
    sha256: str
    """Digest of the file or folder."""
    size_bytes: int
    """Size of the file or folder."""
    content: bytes | None = None
    """Content of a .tflite, changed to a batch of one; None for the other kinds."""
    graph_reader: Callable[[], Graph] | None = None
    """Function that reads a source without Keras layers as a folded graph, and compares the two;
    None where the graph is read from the Keras model."""
    unused: tuple[str, ...] = ()
    """Names of the inputs that no output depends on."""
    warnings: tuple[str, ...] = ()
    """Sentences for the user about what the file is."""

    def form(self, wish: TaskWish) -> InputForm:
        """Describe the data that the model takes.

        Raises:
            TaskError: The task of the recipe does not fit the outputs of the model.
        """
        inputs = (
            {tensor.name: tensor.shape for tensor in self.inputs} if len(self.inputs) > 1 else {}
        )
        answers = (
            {tensor.name: tensor.shape for tensor in self.outputs} if len(self.outputs) > 1 else {}
        )
        wish.check_outputs(tuple(answers))
        return InputForm(
            () if inputs else self.inputs[0].shape,
            self.classes,
            None if answers else self.outputs[0].shape,
            wish,
            inputs=inputs,
            answers=answers,
            dtypes=input_dtypes(self.inputs),
            axes=source_axes(self.inputs),
            answer_axes=source_axes(self.outputs),
            probabilities=sure_probabilities(self.probabilities, self.outputs, self.keras_model),
        )

    @cached_property
    def graph(self) -> Graph:
        """The model as kedge's graph, folded. Read once, when it is first needed.

        Raises:
            ConversionError: A layer cannot be represented, or the graph gives other answers than
                the model; the message names the layer.
        """
        if self.graph_reader is not None:
            return self.graph_reader()
        return read_graph(self.keras_model, str(self.path))

    @property
    def has_graph(self) -> bool:
        """Whether the model can be read as a graph, as far as its kind tells."""
        return self.graph_reader is not None or self.keras_model is not None

    def function_of(self, call: Callable[[Any], Any], graph: Graph | None = None) -> Any:
        """Make a concrete function, of a batch of one, of a model of the same tensors.

        Args:
            call: The model.
            graph: Graph that it was built from. If it has a single input, the shape of that input
                replaces the shape of this model's input.
        """
        inputs = self.inputs
        if graph is not None and len(inputs) == 1:
            (name,) = graph.inputs
            inputs = (replace(inputs[0], shape=graph.by_name()[name].shape),)
        return batch_one_function(call, inputs, self.outputs)

    @property
    def classes(self) -> int:
        """Classes that a classifier of one output tells apart; one score tells two."""
        return max(2, int(np.prod(self.outputs[0].shape)))

    @property
    def classes_of_outputs(self) -> int | dict[str, int]:
        """Classes of a single output, or the classes of each output by its name."""
        if len(self.outputs) == 1:
            return self.classes
        return {tensor.name: max(2, int(np.prod(tensor.shape))) for tensor in self.outputs}


def wrong_output(path: Path, shape: tuple[int | None, ...]) -> ConversionError:
    """The error to raise about an output.

    Args:
        path: File or folder of the model.
        shape: Shape of the output, with the batch axis.
    """
    return ConversionError(
        f"{path}: its output has the shape {shape}, expected (batch, …) of fixed size", SHAPES_HINT
    )


def check_model(
    source: SourceFile,
    kind: str,
    keras_model: KerasModel | None,
    call: Callable[[Any], Any],
    input_specs: Sequence[tuple[str, tuple[int | None, ...], str]],
    output_names: Sequence[str],
) -> LoadedModel:
    """Check a model that TensorFlow can call, and bring what is known about it together.

    Args:
        source: File or folder of the model.
        kind: Kind of the model, a key of `SOURCES`: that of `source`, or of what was loaded of it.
        keras_model: Keras object, or None.
        call: Function of a tensor, of several inputs of a list of them, that returns the outputs.
        input_specs: Name, shape with the batch axis, and type of each input.
        output_names: Names of the outputs, in the order in which they are flattened.

    Raises:
        ConversionError: An input has no numbers, an input or output has no fixed shape, or
            TensorFlow cannot compute the model.
    """
    inputs = model_inputs(source.path, input_specs, source.layers)
    names = plain_names(output_names, OUTPUT_NAME)
    with _translate_errors(source.path):
        function = batch_one_function(call, inputs, [ModelTensor(name, ()) for name in names])
    tensors = _in_order(function.structured_outputs, names)
    for name, tensor in zip(names, tensors, strict=True):
        if tensor.dtype.name == "string":
            raise ConversionError(
                f"{source.path}: its output {name!r} is text, expected numbers",
                "Export the model with its scores alone. The names of the classes belong into "
                "`labels` of model.toml (docs/run.md).",
            )
    shapes = [tuple(tensor.shape) for tensor in tensors]
    for shape in shapes:
        if len(shape) < 2 or not all(shape[1:]):
            raise wrong_output(source.path, shape)
    outputs = tuple(
        ModelTensor(name, tuple(int(axis) for axis in shape[1:]))
        for name, shape in zip(names, shapes, strict=True)
    )
    free = all(shape[0] is None for _, shape, _ in input_specs)
    predict = predictor_of(source.path, call, inputs, outputs, free)
    with _translate_errors(source.path):
        probabilities = gives_probabilities(predict, inputs, outputs, keras_model)
    return LoadedModel(
        path=source.path,
        kind=kind,
        keras_model=keras_model,
        predict=predict,
        function=function,
        inputs=inputs,
        outputs=outputs,
        probabilities=probabilities,
        sha256=sha256_of(source.path),
        size_bytes=bytes_of(source.path),
        unused=find_unused_of_function(function, inputs),
    )


@contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    """Turn whatever TensorFlow raises on a model that it cannot compute into one error.

    Raises:
        ConversionError: The model asks for more memory than there is, or calls something wrongly.
    """
    try:
        yield
    except ConversionError:
        raise
    except Exception as error:
        refuse_without_memory(path, error)
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        lines.append(type(error).__name__)
        # The message of an error in a traced function begins with its source.
        reason = next((line for line in lines if _ERROR_NAME.match(line)), lines[0])
        raise ConversionError(
            f"{path}: TensorFlow cannot compute it: {reason}",
            "Call the model in Keras or TensorFlow with a batch of one sample first.",
        ) from error


def _in_order(answers: Any, names: Sequence[str]) -> list[Any]:
    return [answers[name] for name in names] if isinstance(answers, dict) else [answers]


def model_inputs(
    path: Path,
    input_specs: Sequence[tuple[str, tuple[int | None, ...], str]],
    layers: Sequence[StoredLayer] = (),
) -> tuple[ModelTensor, ...]:
    """Check the inputs that a model declares.

    Args:
        path: File or folder of the model.
        input_specs: Name, shape with the batch axis, and type of each input.
        layers: Layers of the model, as far as they are known.

    Raises:
        ConversionError: An input has no numbers, or no fixed shape.
    """
    names = plain_names([name for name, _, _ in input_specs], INPUT_NAME)
    for name, (_, _, dtype) in zip(names, input_specs, strict=True):
        if dtype == "string":
            what = f"input {name!r}" if len(input_specs) > 1 else "input"
            raise text_refusal(path, what, layers)
    return tuple(
        ModelTensor(
            name,
            _fixed_shape(path, f"input {name!r}" if len(input_specs) > 1 else "input", shape),
            _input_dtype(path, f"input {name!r}" if len(input_specs) > 1 else "input", dtype),
        )
        for name, (_, shape, dtype) in zip(names, input_specs, strict=True)
    )


def _input_dtype(path: Path, what: str, dtype: str) -> str:
    if dtype in WHOLE_NUMBERS:
        return dtype
    if dtype in FLOATS:
        return "float32"
    raise ConversionError(
        f"{path}: its {what} is {dtype}, expected floats or one of {', '.join(WHOLE_NUMBERS)}",
        SHAPES_HINT,
    )


def _fixed_shape(path: Path, what: str, batch_shape: tuple[int | None, ...]) -> tuple[int, ...]:
    if batch_shape[:1] not in ((None,), (1,)) or len(batch_shape) < 2:
        raise ConversionError(
            f"{path}: its {what} has the shape {batch_shape}, expected a free batch axis first",
            SHAPES_HINT,
        )
    if None in batch_shape[1:]:
        raise ConversionError(
            f"{path}: its {what} has the shape {batch_shape}; axes past the batch must be fixed, "
            "as boards plan their memory ahead",
            "Build the model again with an input of the size that it is to run with.",
        )
    return tuple(int(axis) for axis in batch_shape[1:] if axis is not None)
