"""JSON of hostile Keras models and of harmless ones of the same form, for `hostile_files`."""

from __future__ import annotations

import base64
import copy
import marshal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Config = dict[str, Any]


@dataclass(frozen=True)
class Evil:
    """A layer or an object that does harm when Keras brings it to life."""

    layer: Config
    """JSON of it."""
    reason: str
    """Words of the message that refuses it."""


def layer(class_name: str, node: list[Any], module: str = "keras.layers", **config: Any) -> Config:
    """JSON of a layer that is called `extra`, as Keras 2 writes it."""
    return {
        "class_name": class_name,
        "module": module,
        "registered_name": None,
        "name": "extra",
        "config": {"name": "extra", "trainable": True, "dtype": "float32", **config},
        "inbound_nodes": [node],
    }


def constant(value: Any, **arguments: Any) -> list[Any]:
    """Node of a layer that gets a constant in the place of a tensor."""
    return ["_CONSTANT_VALUE", -1, value, arguments]


def evils(folder: Path) -> dict[str, Evil]:
    """Harmful objects by name; each makes folder/ran, or reads folder/secret."""
    return {**code_evils(folder), **tensorflow_evils(folder), **file_evils(folder)}


def code_evils(folder: Path) -> dict[str, Evil]:
    """Objects that are Python code, or name a function or class of Python."""
    mark = str(folder / "ran")
    system = {"class_name": "function", "module": "os", "config": "system"}
    compiled = compile(f"open({mark!r}, 'w')", "x", "eval")
    code = base64.b64encode(marshal.dumps(compiled)).decode()
    in_wrapper = {
        "class_name": "ResidualWrapper",
        "module": "keras.src.layers.rnn.cell_wrappers",
        "config": {
            "cell": {"class_name": "GRUCell", "module": "keras.layers", "config": {"units": 8}},
            "residual_fn": [code, None, None],
            "residual_fn_type": "lambda",
            "residual_fn_module": None,
        },
    }
    return {
        "lambda": Evil(
            layer("Lambda", constant(f"touch {mark}"), function=system, function_type="function"),
            "is a Lambda layer",
        ),
        "marshal": Evil(
            layer("Lambda", ["fl", 0, 0, {}], function=[code, None, None], function_type="lambda"),
            "is a Lambda layer",
        ),
        "python": Evil(
            layer("Dense", ["fl", 0, 0, {}], units=3)
            | {"build_config": {"class_name": "__lambda__", "config": {"value": code}}},
            "is a Python function",
        ),
        "function": Evil(
            layer("Dense", ["fl", 0, 0, {}], units=3, activation=system),
            "it names the function system of os",
        ),
        "module": Evil(
            {"class_name": "Popen", "module": "subprocess", "config": {"args": ["touch", mark]}},
            "is of the class Popen of subprocess",
        ),
        "registered": Evil(
            layer("Dense", ["fl", 0, 0, {}], units=3) | {"registered_name": "os>system"},
            "is of the class Dense",
        ),
        "wrapper": Evil(in_wrapper, "with residual_fn_"),
    }


def tensorflow_evils(folder: Path) -> dict[str, Evil]:
    """Layers that name a function or an op of TensorFlow."""
    mark, secret = str(folder / "ran"), str(folder / "secret")
    op = {"name": "extra", "op": "WriteFile", "input": ["a", "b"], "attr": {}}
    text = layer("TFOpLambda", constant("/etc/passwd"), function="math.add")
    text["inbound_nodes"][0][3] = {"y": ["d", 0, 0]}
    return {
        "write": Evil(
            layer("TFOpLambda", constant(mark, contents="x"), function="io.write_file"),
            "uses the TensorFlow function io.write_file",
        ),
        "library": Evil(
            layer("TFOpLambda", constant(mark), function="load_op_library"),
            "uses the TensorFlow function load_op_library",
        ),
        "copy": Evil(
            layer("TFOpLambda", constant(secret, dst=mark), function="io.gfile.copy"),
            "uses the TensorFlow function io.gfile.copy",
        ),
        "slicing": Evil(
            layer("SlicingOpLambda", constant(secret), function="io.read_file"),
            "uses the TensorFlow function io.read_file",
        ),
        "op": Evil(
            layer("TensorFlowOpLayer", ["fl", 0, 0, {}], node_def=op, constants={}),
            "uses the op WriteFile",
        ),
        "text": Evil(text, "gets the text '/etc/passwd' as a constant"),
    }


def file_evils(folder: Path) -> dict[str, Evil]:
    """Layers of Keras that open files."""
    secret = str(folder / "secret")
    return {
        "method": Evil(
            layer("ClassMethod", constant(secret), cls_ref="tf.io", method_name="read_file"),
            "is of the class ClassMethod, which can open other files",
        ),
        "saved": Evil(
            layer("TFSMLayer", ["fl", 0, 0, {}], filepath=str(folder / "other")),
            "is of the class TFSMLayer, which can open other files",
        ),
        "vocabulary": Evil(
            layer("StringLookup", ["fl", 0, 0, {}], vocabulary=secret),
            "reads its vocabulary from another file",
        ),
    }


def controls() -> dict[str, Config]:
    """Harmless objects by name, of the same kinds."""
    return {
        "function": layer("Activation", ["fl", 0, 0, {}], activation="relu"),
        "op": layer("TFOpLambda", ["fl", 0, 0, {"axis": -1}], function="math.reduce_sum"),
        "constant": layer("TFOpLambda", constant(2.0, y=["fl", 0, 0]), function="math.multiply"),
        "vocabulary": layer("IntegerLookup", ["fl", 0, 0, {}], vocabulary=[1, 2], dtype="int64"),
    }


def forms(model: Config) -> dict[str, Callable[[Config], Config]]:
    """Places where an object can stand, by name: functions that put it there."""

    def with_layer(inner: Config) -> Config:
        changed = copy.deepcopy(model)
        changed["config"]["layers"].append(inner)
        return changed

    def with_tuple(inner: Config) -> Config:
        changed = with_layer(inner)
        items = changed["config"]["layers"]
        changed["config"]["layers"] = {"class_name": "__tuple__", "items": items}
        return changed

    def as_list(inner: Config) -> Config:
        return {"class_name": "Sequential", "module": "keras", "config": [inner]}

    def in_regularizer(inner: Config) -> Config:
        changed = copy.deepcopy(model)
        changed["config"]["layers"][-1]["config"]["kernel_regularizer"] = inner
        return changed

    def in_wrapper(inner: Config) -> Config:
        changed = copy.deepcopy(model)
        shell = layer("TimeDistributed", ["inp", 0, 0, {}], layer=inner)
        changed["config"]["layers"].append(shell)
        return changed

    return {
        "layer": with_layer,
        "tuple": with_tuple,
        "list": lambda inner: as_list(with_layer(inner)),
        "list_tuple": lambda inner: as_list(with_tuple(inner)),
        "list_list": lambda inner: as_list(as_list(with_layer(inner))),
        "regularizer": in_regularizer,
        "regularizer_list": lambda inner: in_regularizer(as_list(with_tuple(inner))),
        "time_distributed": in_wrapper,
        "unknown_key": lambda inner: {**copy.deepcopy(model), "zz": {"a": [{"b": inner}]}},
    }
