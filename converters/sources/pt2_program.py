"""The program of a .pt2: what of it may be handed to torch. Pure; needs no torch.

torch evaluates texts of a program as Python: sizes, guards, names of types. Nothing of this kind is
handed on unless it has a form that only computes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters.errors import ConversionError
from converters.foreign_files import PT2_LINES

#: Numbers of types in the schema of torch.export: `torch._export.serde.schema.ScalarType`.
_DTYPES = {
    1: "uint8",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "float16",
    7: "float32",
    8: "float64",
    12: "bool",
    13: "bfloat16",
}
_HALF = ("float16", "bfloat16")

#: Ops that compute with tensors; and arithmetic of sizes.
_OPS = re.compile(r"torch\.ops\.(?:aten|prims)\.[A-Za-z_]\w*\.\w+")
_SIZES = re.compile(
    r"_operator\.(?:getitem|add|sub|mul|floordiv|truediv|mod|neg|pow|eq|ne|lt|le|gt|ge|and_|or_)"
    r"|torch\.sym_\w+|math\.(?:ceil|floor|trunc)"
)
#: Ops of PyTorch that open files.
_OPENERS = ("torch.ops.aten.from_file",)
#: Names in the sizes of tensors; a dot, and so any attribute, is not among the letters.
_SIZE_TEXT = re.compile(r"[\w ,()'=+\-*/]{0,500}")
_SIZE_NAMES = re.compile(
    r"(?:[a-z]+\d+|\d+|Symbol|Integer|Rational|Add|Mul|Pow|Mod|PythonMod|FloorDiv|CleanDiv|CeilDiv"
    r"|Max|Min|positive|nonnegative|integer|True|False)\Z"
)
#: Ops that behave otherwise in training, and the argument that says so.
_TRAINING = {"batch_norm": "training", "instance_norm": "use_input_stats", "dropout": "train"}
#: Containers of arguments.
_CONTAINERS = ("builtins.tuple", "builtins.list", "builtins.dict", None)


@dataclass(frozen=True)
class ProgramInput:
    """One input of a program."""

    name: str
    """Name of the argument."""
    shape: tuple[int | None, ...]
    """Shape with the batch axis; None for an axis that is left open."""
    dtype: str
    """Type, such as "float32"."""


def read_program(path: Path, text: bytes) -> tuple[dict[str, Any], tuple[ProgramInput, ...]]:
    """Read a program, and keep what computes.

    Args:
        path: File, for messages.
        text: JSON of the program.

    Returns:
        The program without its guards and without notes about its source, and its inputs.

    Raises:
        ConversionError: It is damaged, was exported in training mode, is in half precision, or has
            something that is no computation with tensors.
    """
    try:
        program = json.loads(text)
        inputs = tuple(_inputs(path, program["graph_module"]))
        for graph in _graphs(program["graph_module"]["graph"]):
            for node in graph["nodes"]:
                _check_node(path, node)
        for expression in _expressions(program):
            _check_size(path, expression)
        _check_weights(path, program["graph_module"])
        return _clean(path, program), inputs
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
        raise damage(path, f"its program cannot be read ({type(error).__name__})") from error


def damage(path: Path, what: str) -> ConversionError:
    """The error to raise about a file that is not whole.

    Args:
        path: File.
        what: Words for the damage.
    """
    return ConversionError(
        f"{path}: is a .pt2 that is damaged or was not written by torch.export.save: {what}",
        f"Save it again:{PT2_LINES}",
    )


def _inputs(path: Path, module: Mapping[str, Any]) -> Iterator[ProgramInput]:
    values = module["graph"]["tensor_values"]
    for spec in module["signature"]["input_specs"]:
        if "constant_input" in spec:
            raise ConversionError(
                f"{path}: its input {str(spec['constant_input'].get('name'))!r} is a fixed value, "
                "expected tensors",
                "Export the model with tensors as its only arguments.",
            )
        if "user_input" not in spec:
            continue
        argument = spec["user_input"]["arg"]
        if "as_tensor" not in argument:
            raise ConversionError(
                f"{path}: an input of it is no tensor, but {next(iter(argument), 'nothing')!r}",
                "Export the model with tensors as its only arguments.",
            )
        name = str(argument["as_tensor"]["name"])
        value = values[name]
        shape = tuple(axis.get("as_int") for axis in value["sizes"])
        yield ProgramInput(name, shape, _DTYPES.get(value["dtype"], f"type {value['dtype']}"))


def _graphs(graph: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A graph, and all graphs in arguments of its nodes."""
    yield graph
    for node in graph["nodes"]:
        for item in node["inputs"]:
            inner = item["arg"].get("as_graph")
            if inner is not None:
                yield from _graphs(inner["graph"])


def _check_node(path: Path, node: Mapping[str, Any]) -> None:
    target = str(node["target"])
    is_known = _OPS.fullmatch(target) or _SIZES.fullmatch(target)
    if not is_known or target.startswith(_OPENERS):
        raise ConversionError(
            f"{path}: node {str(node.get('name') or '')!r} calls {target}, which is no computation "
            "of PyTorch's own ops with tensors",
            "Write the model without branches on its data, loops, torch.no_grad() and custom ops, "
            f"and export it again:{PT2_LINES}",
        )
    op = target.split(".")[3] if target.startswith("torch.ops.") else ""
    flag = _TRAINING.get(op)
    if any(item["name"] == flag and item["arg"].get("as_bool") is True for item in node["inputs"]):
        raise ConversionError(
            f"{path}: was exported in training mode (its {op} would use the statistics of each "
            "batch, or drop numbers)",
            f"Call model.eval() before the export:{PT2_LINES}",
        )


def _expressions(value: Any) -> Iterator[str]:
    """All sizes that are texts, wherever they are."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "expr_str":
                yield str(item)
            else:
                yield from _expressions(item)
    elif isinstance(value, list):
        for item in value:
            yield from _expressions(item)


def _check_size(path: Path, expression: str) -> None:
    names = re.findall(r"\w+", expression)
    if not _SIZE_TEXT.fullmatch(expression) or not all(map(_SIZE_NAMES.match, names)):
        raise ConversionError(
            f"{path}: a size in it is {expression[:80]!r}, which is no arithmetic of sizes",
            "Export the model with inputs of fixed size, of which the batch axis alone is dynamic.",
        )


def _check_weights(path: Path, module: Mapping[str, Any]) -> None:
    for name, value in module["graph"]["tensor_values"].items():
        dtype = _DTYPES.get(value["dtype"], "")
        if dtype in _HALF:
            raise ConversionError(
                f"{path}: is in half precision: {name!r} is {dtype}, expected float32",
                "Export model.float().eval() with float32 inputs; a recipe such as ptq_f16 makes "
                "it small afterwards.",
            )


def _clean(path: Path, program: dict[str, Any]) -> dict[str, Any]:
    """The program with what torch needs to compute it, and nothing that it would evaluate."""
    module = program["graph_module"]
    for graph in _graphs(module["graph"]):
        for node in graph["nodes"]:
            node["metadata"] = {}
    roots = [entry for entry in module["module_call_graph"] if entry["fqn"] == ""]
    for entry in roots:
        for side in ("in_spec", "out_spec"):
            _check_containers(path, entry["signature"][side])
    module["module_call_graph"] = roots
    module["metadata"] = {}
    program["guards_code"] = []
    program["verifiers"] = ["TRAINING"]
    return program


def _check_containers(path: Path, text: str) -> None:
    """Refuse arguments or answers in containers for which torch would import a module."""
    specs = [json.loads(text)[1]]
    while specs:
        spec = specs.pop()
        context = json.loads(spec["context"]) if spec["context"] is not None else None
        is_plain = context is None or all(isinstance(key, str) for key in context)
        if spec["type"] not in _CONTAINERS or isinstance(context, dict) or not is_plain:
            raise ConversionError(
                f"{path}: its arguments or answers are in a {str(spec['type'])[:80]}, expected "
                "tensors, tuples, lists or dicts of them",
                "Wrap the model in a module that takes and returns tensors, and export that.",
            )
        specs += spec["children_spec"]
