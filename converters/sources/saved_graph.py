"""The graph of a SavedModel as its file has it, read before TensorFlow loads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from converters.errors import ConversionError
from converters.sources.allowed_ops import PURE_OPS, SAVER_OPS
from converters.sources.refused_ops import WITHOUT, explain_refusal
from converters.sources.session_graph import file_ops_run
from converters.sources.wire import WireFormatError, message_fields, submessages, texts

#: Another form of the same file, which TensorFlow prefers where both are in a folder.
_SPLIT_FILE = "saved_model.cpb"

# Field numbers of TensorFlow's messages.
_META_GRAPHS = 2
_GRAPH, _OBJECTS = 2, 7
_NODES, _LIBRARY = 1, 2
_FUNCTIONS = 1
_SIGNATURE, _FUNCTION_NODES = 1, 3
_NODE_NAME, _OP, _ATTRIBUTES = 1, 2, 5
_MAP_VALUE = 2
_ATTRIBUTE_LIST, _ATTRIBUTE_FUNCTION, _LIST_FUNCTIONS = 1, 10, 9
_FUNCTION_ATTRIBUTES = 2
_OBJECT_NODES, _CONCRETE_FUNCTIONS = 1, 2
_FUNCTION_OBJECT, _BARE_FUNCTION_OBJECT = 6, 8


@dataclass
class _Body:
    """The ops of a graph or of one function."""

    ops: dict[str, str] = field(default_factory=dict)
    """Op, or library function that is called as one, to the name of the first node that has it."""
    calls: set[str] = field(default_factory=set)
    """Functions that attributes name."""


def check_graph(folder: Path, file_name: str) -> None:
    """Refuse a SavedModel whose graph or functions have an op that is not allowed.

    Args:
        folder: Folder of the SavedModel.
        file_name: Name of the file of the graph.

    Raises:
        ConversionError: An op is not on the list, a function is not in the file, the file is
            damaged, or what saves and restores the model can be called by the model.
    """
    if (folder / _SPLIT_FILE).exists():
        raise ConversionError(
            f"{folder}: has {_SPLIT_FILE}, a graph in several pieces, which kedge cannot check",
            "Save it with `model.export(folder)`, which writes one saved_model.pb.",
        )
    try:
        content = memoryview((folder / file_name).read_bytes())
        graphs = list(submessages(content, _META_GRAPHS))
        if not graphs:
            what = "holds no graph" if content else "is empty"
            raise ConversionError(f"{folder}: {file_name} {what}", _COPY_HINT)
        for meta_graph in graphs:
            _check_meta_graph(folder, meta_graph, is_only=len(graphs) == 1)
    except (WireFormatError, OSError, RecursionError) as error:
        raise ConversionError(f"{folder}: {file_name} is damaged: {error}", _COPY_HINT) from error


def check_links_in(folder: Path) -> None:
    """Refuse a folder with links that lead out of it: their content would travel with the model.

    Links into the `blobs` of the Hugging Face cache that the folder is in are allowed.

    Raises:
        ConversionError: A link leads out of the folder.
    """
    real = folder.resolve()
    allowed = [real, real.parent.parent / "blobs"]
    for path in folder.rglob("*"):
        if path.is_symlink() and not any(path.resolve().is_relative_to(a) for a in allowed):
            raise ConversionError(
                f"{path}: is a link to a file outside of the model's folder",
                "If you trust it, copy the folder with `cp -rL` and convert the copy.",
            )


def _check_meta_graph(folder: Path, meta_graph: memoryview, is_only: bool) -> None:
    main = _Body()
    functions: dict[str, _Body] = {}
    for graph in submessages(meta_graph, _GRAPH):
        _read_nodes(submessages(graph, _NODES), main)
        for library in submessages(graph, _LIBRARY):
            for function in submessages(library, _FUNCTIONS):
                body = _Body()
                _read_nodes(submessages(function, _FUNCTION_NODES), body)
                names = [n for s in submessages(function, _SIGNATURE) for n in texts(s, 1)]
                for name in names:
                    whole = functions.setdefault(name, _Body())
                    whole.ops = {**body.ops, **whole.ops}
                    whole.calls |= body.calls
    bodies = (main, *functions.values())
    lookup_node = next((body.ops[op] for body in bodies for op in _FINDS if op in body.ops), "")
    for body in bodies:
        _check_body(folder, body, functions, lookup_node)
    savers = _savers(functions)
    objects = list(submessages(meta_graph, _OBJECTS))
    callable_names = {name for graph in objects for name in _callable_names(graph)}
    # Without objects, TensorFlow runs the main graph itself; with them it calls these functions.
    if not objects or not is_only:
        problems = file_ops_run(meta_graph) or sorted((main.ops.keys() | main.calls) & savers)
        if problems:
            raise ConversionError(
                f"{folder}: its graph runs {', '.join(problems)}, which reads or writes files "
                "elsewhere than in its own variables; kedge lets no model open files",
                "Load it in TensorFlow 2 and save it again with `tf.saved_model.save(model, "
                "folder)`.",
            )
    for name in sorted(callable_names & savers):
        raise _refused(folder, f"function {name!r} that the model may call has", functions[name])


def _callable_names(objects: memoryview) -> Iterator[str]:
    """Names of the functions that the objects of a model have, listed or not."""
    for entry in submessages(objects, _CONCRETE_FUNCTIONS):
        yield from texts(entry, 1)
    for item in submessages(objects, _OBJECT_NODES):
        for kind in (_FUNCTION_OBJECT, _BARE_FUNCTION_OBJECT):
            for function in submessages(item, kind):
                yield from texts(function, 1)


def _read_nodes(nodes: Iterable[memoryview], body: _Body) -> None:
    for node in nodes:
        name = next(iter(texts(node, _NODE_NAME)), "")
        for op in texts(node, _OP):
            body.ops.setdefault(op, name)
        for attribute in submessages(node, _ATTRIBUTES):
            for value in submessages(attribute, _MAP_VALUE):
                body.calls.update(_function_names(value))


def _function_names(attribute: memoryview) -> Iterator[str]:
    for number, value in message_fields(attribute):
        if not isinstance(value, memoryview):
            continue
        if number == _ATTRIBUTE_FUNCTION:
            functions = [value]
        elif number == _ATTRIBUTE_LIST:
            functions = list(submessages(value, _LIST_FUNCTIONS))
        else:
            continue
        for function in functions:
            yield from texts(function, 1)
            # A function gets attributes of its own, which may name others.
            for inner in submessages(function, _FUNCTION_ATTRIBUTES):
                for of_inner in submessages(inner, _MAP_VALUE):
                    yield from _function_names(of_inner)


def _check_body(folder: Path, body: _Body, functions: dict[str, _Body], lookup_node: str) -> None:
    for op in sorted(body.ops):
        # An op begins with a capital letter or one underscore, a function of TensorFlow does not;
        # one that is called like an op could hide it.
        is_function = op in functions and (op[:1].islower() or op.startswith("__"))
        if op not in PURE_OPS and op not in SAVER_OPS and not is_function:
            raise _refused_op(folder, op, body.ops[op], lookup_node)
    for name in sorted(body.calls - functions.keys()):
        raise _refused_op(folder, name, "", lookup_node)


def _savers(functions: dict[str, _Body]) -> set[str]:
    """Names of the functions that save or restore, also by others that they call."""
    savers = {name for name, body in functions.items() if body.ops.keys() & SAVER_OPS}
    while True:
        callers = {n for n, b in functions.items() if (b.ops.keys() | b.calls) & savers} - savers
        if not callers:
            return savers
        savers |= callers


def _refused(folder: Path, where: str, body: _Body) -> ConversionError:
    ops = ", ".join(sorted(body.ops.keys() & SAVER_OPS)) or "a function that saves or restores"
    return ConversionError(f"{folder}: {where} {ops}, which reads or writes files", WITHOUT)


def _refused_op(folder: Path, op: str, node: str, lookup_node: str) -> ConversionError:
    reason, hint = explain_refusal(op, node, lookup_node)
    return ConversionError(f"{folder}: its graph {reason}", hint)


_COPY_HINT = (
    "Copy the folder again, or save the model again with `model.export(folder)` or "
    "`tf.saved_model.save(model, folder)`."
)
#: Ops that look up in a table.
_FINDS = ("LookupTableFindV2", "LookupTableFind")
