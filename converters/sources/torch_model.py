"""PyTorch as a source: a .pt2 of torch.export, or a function of the user that returns a module.

Both become ONNX, and the graph is read from that; the answers are those of PyTorch itself.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.fields import from_keras_outputs, select_field
from converters.data.first_look import check_function
from converters.data.layout import from_source_layout, to_source_layout
from converters.data.user_function import user_function_at
from converters.digest import bytes_of, sha256_of
from converters.errors import MissingConvertExtraError
from converters.sources.declared_shapes import DeclaredShapes
from converters.sources.inputs_outputs import ModelTensor, field_names
from converters.sources.loaded_model import LoadedModel
from converters.sources.onnx import load_onnx_file
from converters.sources.pt2_file import check_pt2, copy_without_pickles, is_pt2
from converters.sources.source_file import PT2, TORCH_FUNCTION, SourceFile

Array = npt.NDArray[Any]

#: Modules of the extra `torch`; looked for, never imported where a model is recognised.
_EXTRA_MODULES = ("torch", "onnxscript", "onnx", "onnxruntime")


def recognise_pt2(path: Path) -> SourceFile | None:
    """Look whether a path holds a program of torch.export.

    Raises:
        MissingConvertExtraError: torch is not installed.
        ConversionError: It is one that kedge does not hand to torch.
    """
    if path.is_dir():
        return None
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04" or not is_pt2(path):
            return None
    inputs = check_pt2(path)
    _check_extra()
    return SourceFile(path, PT2, shapes=DeclaredShapes({one.name: one.shape for one in inputs}))


def recognise_torch_function(path: Path) -> SourceFile | None:
    """Look whether `module:function` stands in the place of a file. None of its code is run.

    Raises:
        MissingConvertExtraError: torch is not installed.
        ConversionError: There is no such module or function.
    """
    function = user_function_at(path)
    if function is None:
        return None
    check_function(function)
    _check_extra()
    return SourceFile(path, TORCH_FUNCTION)


def load_pt2(source: SourceFile, own: Mapping[str, Any]) -> LoadedModel:  # noqa: ARG001
    """Load a .pt2.

    Args:
        source: File.
        own: Not used: a .pt2 has no layers of the user.

    Raises:
        ConversionError: torch cannot read it, or an op cannot be represented.
    """
    from converters.sources.torch_program import load_program

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "program.pt2"
        copy_without_pickles(source.path, copy)
        program = load_program(copy, source.path)
    return _load(program, source)


def load_torch_function(source: SourceFile, own: Mapping[str, Any]) -> LoadedModel:  # noqa: ARG001
    """Call the user's function and load the module that it returns.

    Args:
        source: The function in the form of a path.
        own: Not used: the module brings its layers.

    Raises:
        ConversionError: The function fails or returns no module, or torch cannot follow it.
    """
    function = user_function_at(source.path)
    assert function is not None  # it was recognised
    from converters.sources.torch_program import export_module

    return _load(export_module(function.call(), source.path), source)


def _load(program: Any, source: SourceFile) -> LoadedModel:
    """Read the program by way of ONNX, with the answers of PyTorch."""

    def predictor(
        inputs: Sequence[ModelTensor], outputs: Sequence[ModelTensor]
    ) -> Callable[[Array], Array]:
        def predict(batch: Array) -> Array:
            names = field_names(inputs) or ("",)
            arrays = [
                to_source_layout(select_field(batch, name), tensor.source_axes).astype(tensor.dtype)
                for name, tensor in zip(names, inputs, strict=True)
            ]
            answers = [
                np.ascontiguousarray(from_source_layout(answer, tensor.source_axes))
                for answer, tensor in zip(program.answer(arrays), outputs, strict=True)
            ]
            return from_keras_outputs(
                answers if len(answers) > 1 else answers[0], field_names(outputs)
            )

        return predict

    with tempfile.TemporaryDirectory() as folder:
        file = program.write_onnx(Path(folder), source.path)
        model = load_onnx_file(file, source.path, source.kind, predictor=predictor)
        # A function is known by what was exported of it.
        known_by = Path(folder) if source.kind == TORCH_FUNCTION else source.path
        return replace(model, sha256=sha256_of(known_by), size_bytes=bytes_of(known_by))


def _check_extra() -> None:
    missing = [name for name in _EXTRA_MODULES if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingConvertExtraError(
            f"a model of PyTorch needs {', '.join(missing)}, which is not installed",
            "In a clone of kedge: pip install '.[torch]'",
        )
