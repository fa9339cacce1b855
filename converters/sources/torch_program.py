"""The only file that imports torch: programs of torch.export, their answers and their ONNX form.

It runs in the child process of a conversion.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.errors import ConversionError
from converters.foreign_files import PT2_LINES
from converters.free_memory import return_free_memory
from converters.sources.load_limits import refuse_without_memory

Array = npt.NDArray[Any]

#: The newest opset in which GELU and layer normalization are one op each, and that every exporter
#: of torch from 2.9 on writes.
OPSET = 20
_EXAMPLE_HINT = (
    "Return the module and an example of its input, a batch of one: "
    "`return model, torch.zeros(1, 3, 224, 224)`; of several inputs a tuple of tensors."
)
_DATA_HINT = (
    "Try torch.export.export(model, (example,)) yourself: PyTorch says there which line it cannot "
    "follow. Branches and loops that depend on the data must go."
)


@dataclass(frozen=True)
class TorchProgram:
    """A program of torch.export, ready to be computed."""

    program: Any
    """`torch.export.ExportedProgram`."""
    answer_names: tuple[str, ...]
    """Names of the answers: keys of a dict, else "output_0" and so on; empty for a single one."""
    any_batch: bool
    """Whether it takes a batch of any size, rather than one sample at a time."""

    def write_onnx(self, folder: Path, origin: Path) -> Path:
        """Export it as ONNX, its weights in a file beside it: they are in memory once.

        Args:
            folder: Empty folder for the files.
            origin: Origin of the program, for messages.

        Returns:
            The .onnx.

        Raises:
            ConversionError: An op of it has no form in ONNX; the message names it.
        """
        import torch

        file = folder / "program.onnx"
        names = {"output_names": list(self.answer_names)} if self.answer_names else {}
        with _quiet(), _translate(origin, "cannot be exported as ONNX", _DATA_HINT):
            exported = torch.onnx.export(
                self.program, dynamo=True, opset_version=OPSET, verbose=False, **names
            )
            exported.save(file, external_data=True)
        del exported
        return_free_memory()  # the exporter leaves cycles that hold the weights
        return file

    def answer(self, inputs: Sequence[Array]) -> list[Array]:
        """Compute the answers of PyTorch itself.

        Args:
            inputs: Array of each argument, in its type, shape (n, …) in the layout of the program.

        Returns:
            Array of each answer, float32, shape (n, …).
        """
        import torch

        # Threads of OpenMP wait for each other in loops: beside TensorFlow's, or other programs,
        # several were 20 times slower than one.
        torch.set_num_threads(1)
        count = len(inputs[0])
        size = count if self.any_batch else 1
        rows = []
        with torch.no_grad():
            for start in range(0, count, size):
                tensors = [torch.from_numpy(np.array(a[start : start + size])) for a in inputs]
                rows.append(_tensors_of(self._call(tensors)))
        return [
            np.concatenate([row[place].numpy().astype(np.float32) for row in rows])
            for place in range(len(rows[0]))
        ]

    @cached_property
    def _module(self) -> Any:
        """The program as a module; torch takes seconds to make one."""
        return self.program.module()

    def _call(self, tensors: list[Any]) -> Any:
        from torch.utils import _pytree

        args, kwargs = _pytree.tree_unflatten(tensors, self.program.call_spec.in_spec)
        return self._module(*args, **kwargs)


def load_program(copy: Path, path: Path) -> TorchProgram:
    """Load a .pt2.

    Args:
        copy: Copy of the file that `copy_without_pickles` wrote.
        path: File of the user, for messages.

    Raises:
        ConversionError: It is of a version of PyTorch that the installed one does not read, or is
            damaged.
    """
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"  # no pickle is left in it; and none would run
    import torch

    hint = (
        f"Save it again with the PyTorch that is installed beside kedge, {torch.__version__}, or "
        f"install the one that it was saved with:{PT2_LINES}"
    )
    with _quiet(), _translate(path, f"PyTorch {torch.__version__} cannot read it", hint):
        program = torch.export.load(str(copy))
        return _checked(path, program)


def export_module(answer: Any, path: Path) -> TorchProgram:
    """Make a program of what a function of the user returned.

    Args:
        answer: A module and an example of its input; or a module with `example_input_array`.
        path: The function in the form of a path, for messages.

    Raises:
        ConversionError: It is something else, or torch.export cannot follow the module.
    """
    import torch

    module, args, kwargs = _module_and_example(answer, path)
    with _quiet(), _translate(path, "torch.export cannot follow the module", _DATA_HINT):
        module = module.eval().float().cpu()
        program = torch.export.export(module, args, kwargs)
        return _checked(path, program)


def _module_and_example(returned: Any, path: Path) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    import torch

    module, example = returned, getattr(returned, "example_input_array", None)
    if isinstance(returned, (tuple, list)) and len(returned) == 2:
        module, example = returned
    if not isinstance(module, torch.nn.Module):
        raise ConversionError(
            f"{path.name}: returned {_describe(returned)}, expected a torch module and an example "
            "of its input",
            _EXAMPLE_HINT,
        )
    if example is None:
        raise ConversionError(
            f"{path.name}: returned a {type(module).__name__} without an example of its input, "
            "which tells the shape",
            _EXAMPLE_HINT,
        )
    if isinstance(example, Mapping):
        return module, (), {str(name): _tensor(v, path) for name, v in example.items()}
    values = example if isinstance(example, (tuple, list)) else (example,)
    return module, tuple(_tensor(value, path) for value in values), {}


def _tensor(value: Any, path: Path) -> Any:
    """An example of one input: a batch of one on the CPU, its real numbers as float32."""
    import torch

    if not isinstance(value, (torch.Tensor, np.ndarray)):
        raise ConversionError(
            f"{path.name}: the example input is {_describe(value)}, expected a tensor",
            _EXAMPLE_HINT,
        )
    tensor = torch.as_tensor(value).detach().cpu()
    if tensor.ndim < 2 or tensor.shape[0] != 1:
        raise ConversionError(
            f"{path.name}: the example input has the shape {tuple(tensor.shape)}, expected a batch "
            "of one sample: (1, …)",
            "Give one sample with the batch axis first: example[:1].",
        )
    return tensor.float() if tensor.is_floating_point() else tensor


def _checked(path: Path, program: Any) -> TorchProgram:
    """A program whose answers are tensors.

    Raises:
        ConversionError: An answer is no tensor.
    """
    places = program.graph_signature.user_outputs
    if not places or not all(isinstance(place, str) for place in places):
        raise ConversionError(
            f"{path.name}: an answer of the module is no tensor",
            "Return a tensor, or a tuple or dict of tensors.",
        )
    spec = program.call_spec.out_spec
    keys = list(spec.context) if spec.type is dict else []
    names = [str(key) for key in keys] if len(keys) == len(places) else []
    if not names:
        names = [f"output_{number}" for number in range(len(places))]
    shapes = [
        node.meta["val"].shape
        for node in program.graph.nodes
        if node.op == "placeholder" and node.name in program.graph_signature.user_inputs
    ]
    return TorchProgram(
        program,
        tuple(names) if len(places) > 1 else (),
        all(shape and not isinstance(shape[0], int) for shape in shapes),
    )


def _tensors_of(answers: Any) -> list[Any]:
    from torch.utils import _pytree

    return list(_pytree.tree_leaves(answers))


def _describe(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        kinds = ", ".join(type(item).__name__ for item in value[:4])
        return f"a {type(value).__name__} of {len(value)} ({kinds})"
    return "None" if value is None else f"a {type(value).__name__}"


@contextlib.contextmanager
def _translate(path: Path, what: str, hint: str) -> Iterator[None]:
    """Turn whatever torch raises into one error.

    Raises:
        ConversionError: torch failed.
    """
    try:
        yield
    except ConversionError:
        raise
    except Exception as error:
        refuse_without_memory(path, error)
        raise ConversionError(f"{path.name}: {what}: {_reason(error)}", hint) from error


def _reason(error: BaseException) -> str:
    """First line of the first cause that has a message of its own."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep away what the exporter prints about packages that are missing and the like."""
    logger = logging.getLogger("torch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)
