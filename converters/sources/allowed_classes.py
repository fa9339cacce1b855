"""Classes and functions that a Keras file may name, and constants that its nodes may have.

`refuse_code` needs no framework: it finds what no user can want to allow. `first_unknown` decides
about every other name, with the Keras that is about to load the file.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from converters.errors import ConversionError
from converters.sources.allowed_functions import PURE_FUNCTIONS
from converters.sources.allowed_ops import PURE_OPS
from converters.sources.architecture import StoredLayer, dicts_and_lists
from converters.sources.text_inputs import TEXT_LAYERS, numbers_hint

#: Classes that are Python code in the file, and words for it.
_CODE = {"Lambda": "a Lambda layer", "__lambda__": "a Python function"}
#: Classes that read other files, load other models or call any method by its name.
_OPENERS = frozenset(
    {
        "ClassMethod",
        "CompositeTensor",
        "FeatureSpace",
        "FlaxLayer",
        "InstanceMethod",
        "InstanceProperty",
        "JaxLayer",
        "TFSMLayer",
        "TorchModuleWrapper",
    }
)
#: Layers whose vocabulary may be the path of a file instead of a list.
_LOOKUPS = frozenset({"IntegerLookup", "StringLookup", "TextVectorization"})
#: Endings of fields by which wrappers of tf-keras get Python code as a text, and its module.
_CODE_FIELDS = ("fn_type", "function_type", "fn_module", "function_module")
#: Layers of tf-keras that stand for a function of TensorFlow, which they name.
_FUNCTION_LAYERS = frozenset({"TFOpLambda", "SlicingOpLambda"})
_OP_LAYER = "TensorFlowOpLayer"
#: Values of JSON that are no objects of a class.
_VALUES = frozenset(
    {
        "__bytes__",
        "__complex__",
        "__ellipsis__",
        "__keras_tensor__",
        "__numpy__",
        "__slice__",
        "__tensor__",
        "TensorShape",
    }
)
_TYPE_SPEC, _TENSOR_SPEC = "TypeSpec", "tf.TensorSpec"
#: Models, and classes that Keras writes but does not show among its modules.
_INTERNAL = frozenset(
    {
        "Functional",
        "LossFunctionWrapper",
        "MeanMetricWrapper",
        "Model",
        "Sequential",
        "SumOverBatchSizeMetricWrapper",
    }
)
_KERAS_PACKAGES = ("keras", "tf_keras")
_CLASS_MODULES = (
    "layers",
    "models",
    "initializers",
    "regularizers",
    "constraints",
    "losses",
    "metrics",
    "optimizers",
    "optimizers.schedules",
    "optimizers.legacy",
    "mixed_precision",
    "dtype_policies",
    "quantizers",
)
_FUNCTION_MODULES = ("activations", "losses", "metrics", "initializers", "regularizers")
#: Functions in these modules that make objects from JSON.
_MAKERS = frozenset({"deserialize", "get", "serialize"})
#: First entry of a constant in the place of a tensor.
_CONSTANT, _COMPOSITE = "_CONSTANT_VALUE", "_COMPOSITE_TYPE"
#: Texts of arguments: types, layouts, equations; no path, no command.
_PLAIN_TEXT = re.compile(r"[\w.,:>\- ]{0,200}")

_HINT = (
    "Replace it by a Keras layer, or save the model with `model.export(folder)` and "
    "convert that with ptq_w8a8."
)
_CODE_HINT = (
    "Replace it by layers of Keras; or write it as a layer class of your own and name that by "
    '`custom_objects = "module:function"` in the [task] of a recipe; or save the model with '
    "`model.export(folder)` and convert that with ptq_w8a8."
)


@dataclass(frozen=True)
class KerasNames:
    """The names that one Keras brings."""

    classes: frozenset[str]
    """Classes of layers, initializers and so on."""
    functions: frozenset[str]
    """Activations, losses and so on."""


def refuse_code(path: Path, config: Any) -> None:
    """Refuse what brings code or opens files, whoever wrote the file.

    Args:
        path: File of the model.
        config: JSON of the model, its tuples decoded.

    Raises:
        ConversionError: A Lambda layer, a layer that opens files, a TensorFlow function that is
            no arithmetic, or a constant that is no number.
    """
    for item in dicts_and_lists(config):
        if isinstance(item, list):
            _refuse_constants(path, item)
            continue
        if "class_name" in item:
            _refuse_class(path, item)
        for name in item:
            if name.endswith(_CODE_FIELDS) and item[name] is not None:
                raise _code_in_file(path, _subject(item.get("name", "")), f"one with {name}")


def keras_names(keras: Any) -> KerasNames:
    """Names that a Keras brings.

    Args:
        keras: The module `keras` or `tf_keras`.
    """
    classes = set(_INTERNAL | _VALUES | {_TYPE_SPEC})
    for module in _modules(keras, _CLASS_MODULES):
        classes |= {name for name, value in vars(module).items() if inspect.isclass(value)}
    if keras.__name__ == "tf_keras":
        classes |= _FUNCTION_LAYERS | {_OP_LAYER}
        for name in ("layers.serialization", "initializers"):
            # Names of older versions, such as GlorotUniformV2.
            module = import_module(f"tf_keras.src.{name}")
            module.populate_deserializable_objects()
            objects = module.LOCAL.ALL_OBJECTS
            classes |= {name for name, value in objects.items() if inspect.isclass(value)}
    functions: set[str] = set()
    for module in _modules(keras, _FUNCTION_MODULES):
        functions |= {name for name, value in vars(module).items() if inspect.isfunction(value)}
    return KerasNames(frozenset(classes - _CODE.keys() - _OPENERS), frozenset(functions - _MAKERS))


def first_unknown(
    layers: Collection[StoredLayer], own: Mapping[str, Any], names: KerasNames
) -> StoredLayer | None:
    """The first object or function that neither Keras brings nor the user named, or None.

    Args:
        layers: Everything that the file names.
        own: The user's own objects by their names.
        names: Names of the Keras that will load the file.
    """
    own_modules = {getattr(value, "__module__", "") for value in own.values()}
    return next(
        (
            layer
            for layer in layers
            if not (_is_of_keras(layer, names) or _is_own(layer, own, own_modules))
        ),
        None,
    )


def _modules(keras: Any, names: Collection[str]) -> list[Any]:
    modules = []
    for name in names:
        module = keras
        for part in name.split("."):
            module = getattr(module, part, None)
        if module is not None:
            modules.append(module)
    return modules


def _is_of_keras(layer: StoredLayer, names: KerasNames) -> bool:
    package = layer.module.split(".")[0]
    if layer.is_function:
        registered = _plain(layer.registered_name) in ("", "function", layer.name)
        in_keras = package in ("", "builtins", *_KERAS_PACKAGES)
        return registered and in_keras and layer.name in names.functions
    class_name = _plain(layer.class_name)
    if class_name in _VALUES:
        return True
    # Where a module has no such class, tf-keras looks for the registered name in it.
    registered = _plain(layer.registered_name) in ("", class_name)
    if not registered or package not in ("", "builtins", *_KERAS_PACKAGES):
        return False
    return class_name in names.classes or _is_operation(layer)


def _is_operation(layer: StoredLayer) -> bool:
    """Whether it is a function on tensors of Keras 3, such as `ops.mean`, as a class."""
    if not layer.module.startswith("keras.src.ops."):
        return False
    import keras

    value = vars(sys.modules.get(layer.module, keras)).get(layer.class_name)
    return inspect.isclass(value) and issubclass(value, keras.Operation)


def _is_own(layer: StoredLayer, own: Mapping[str, Any], own_modules: Collection[str]) -> bool:
    name = layer.name if layer.is_function else layer.class_name
    if _plain(name) not in {_plain(key) for key in own}:
        return False
    # A name that the user's objects do not have is looked for in the module, which is imported.
    registered = name if layer.is_function else layer.registered_name or name
    is_keras = layer.module.split(".")[0] in ("", "builtins", "__main__", *_KERAS_PACKAGES)
    return registered in own or is_keras or layer.module in own_modules


def _plain(name: str) -> str:
    """Without the package that a registered class has before its name."""
    return name.rpartition(">")[2]


def _refuse_class(path: Path, item: Mapping[str, Any]) -> None:
    inner = item.get("config")
    config = inner if isinstance(inner, dict) else {}
    layer = _subject(config.get("name", item.get("name", "")))
    raw_names = (item["class_name"], item.get("registered_name"))
    names = {_plain(str(name)) for name in raw_names if name is not None}
    for name in sorted(names & _CODE.keys()):
        raise _code_in_file(path, layer, _CODE[name])
    for name in sorted(names & _OPENERS):
        raise ConversionError(
            f"{path}: {layer} is of the class {name}, which can open other files or call "
            "any function; kedge takes layers that compute only",
            _HINT,
        )
    for key in ("vocabulary", "idf_weights") if names & _LOOKUPS else ():
        if not isinstance(config.get(key), (list, type(None))):
            raise ConversionError(
                f"{path}: {layer} reads its {key} from another file, {config[key]!r:.80}",
                numbers_hint(str(config.get("name", "")))
                if names & TEXT_LAYERS
                else "Give the layer its vocabulary as a list, and save the model again.",
            )
    if names & _FUNCTION_LAYERS:
        _refuse_function(path, layer, config.get("function"))
    if _OP_LAYER in names:
        node = config.get("node_def")
        op = node.get("op") if isinstance(node, dict) else None
        _refuse_unless(path, layer, f"the op {op}", isinstance(op, str) and op in PURE_OPS)
    if _TYPE_SPEC in names:
        kind = item.get("type_spec")
        _refuse_unless(path, layer, f"the type {kind}", kind == _TENSOR_SPEC)
    if "__typespec__" in names:
        _refuse_unless(path, layer, "a type that it describes itself", allowed=False)


def _code_in_file(path: Path, layer: str, what: str) -> ConversionError:
    return ConversionError(
        f"{path}: {layer} is {what}, which is Python code in a file; kedge does not run code "
        "from a model file",
        _CODE_HINT,
    )


def _subject(name: Any) -> str:
    """Words for a layer: its name where it has one."""
    return f"layer {name!r}" if name else "a layer"


def _refuse_function(path: Path, layer: str, function: Any) -> None:
    is_pure = isinstance(function, str) and function in PURE_FUNCTIONS
    _refuse_unless(path, layer, f"the TensorFlow function {function}", is_pure)


def _refuse_unless(path: Path, layer: str, what: str, allowed: bool) -> None:
    if not allowed:
        raise ConversionError(
            f"{path}: {layer} uses {what}; kedge allows functions and ops that compute with "
            "tensors only",
            _HINT,
        )


def _refuse_constants(path: Path, node: list[Any]) -> None:
    if node[:1] == [_COMPOSITE]:
        _refuse_unless(path, _subject(""), "a constant that is no plain tensor", allowed=False)
    if node[:1] == [_CONSTANT]:
        _refuse_text(path, node[2:3])
    if len(node) == 4 and isinstance(node[0], str) and isinstance(node[3], dict):
        _refuse_text(path, [value for key, value in node[3].items() if key != "name"])


def _refuse_text(path: Path, values: list[Any]) -> None:
    for item in [values, *dicts_and_lists(values)]:
        for value in item.values() if isinstance(item, dict) else item:
            if isinstance(value, str) and not _PLAIN_TEXT.fullmatch(value):
                if isinstance(item, list) and item[:1] == [value] and len(item) >= 3:
                    continue  # the name of a layer whose tensor stands in the argument's place
                raise ConversionError(
                    f"{path}: a layer gets the text {value[:60]!r} as a constant; kedge allows "
                    "numbers and names of types and layouts only",
                    _HINT,
                )
