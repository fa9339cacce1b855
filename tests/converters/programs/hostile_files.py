"""Run as a program in a process of its own: makes hostile models, loads each, and reports.

python -m tests.converters.programs.hostile_files FOLDER

Every model tries to write FOLDER/ran, or to read FOLDER/secret. Prints a JSON: name of each model
to the exit code of its error (0 if it loads), and the events that nobody may cause.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import h5py
import numpy as np
import tensorflow as tf
import tf_keras

from converters.errors import ConversionError
from converters.sources.kinds import identify
from converters.sources.load import load_model

FORBIDDEN = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "ctypes.dlopen",
)


def base() -> Any:
    layers = tf_keras.layers
    inputs = tf_keras.Input((8, 8, 1), name="inp")
    x = layers.Flatten(name="fl")(inputs)
    return tf_keras.Model(inputs, layers.Dense(10, name="d")(x))


def layer(class_name: str, constant: Any, **config: Any) -> dict[str, Any]:
    node = ["_CONSTANT_VALUE", -1, constant, {}]
    config = {"name": "evil", "trainable": True, "dtype": "float32", **config}
    return {
        "class_name": class_name,
        "module": "keras.layers",
        "registered_name": None,
        "name": "evil",
        "config": config,
        "inbound_nodes": [node],
    }


def configs(folder: Path, model: dict[str, Any]) -> dict[str, Any]:
    """JSON of hostile models, by name."""
    mark = str(folder / "ran")
    system = {"class_name": "function", "module": "os", "config": "system"}
    code = layer("Lambda", f"touch {mark}", function=system, function_type="function", module="os")
    write = layer("TFOpLambda", mark, function="io.write_file")
    write["inbound_nodes"][0][3] = {"contents": "x"}
    library = layer("TFOpLambda", mark, function="load_op_library")
    copying = layer("TFOpLambda", str(folder / "secret"), function="io.gfile.copy")
    copying["inbound_nodes"][0][3] = {"dst": mark}

    def with_layer(evil: Any) -> Any:
        changed = copy.deepcopy(model)
        changed["config"]["layers"].append(evil)
        return changed

    def with_tuple(evil: Any) -> Any:
        changed = with_layer(evil)
        items = changed["config"]["layers"]
        changed["config"]["layers"] = {"class_name": "__tuple__", "items": items}
        return changed

    def as_list(inner: Any) -> Any:
        return {"class_name": "Sequential", "module": "keras", "config": [inner]}

    def in_regularizer(inner: Any) -> Any:
        changed = copy.deepcopy(model)
        changed["config"]["layers"][-1]["config"]["kernel_regularizer"] = inner
        return changed

    dense = layer("Dense", 1.0, units=3, activation=system)
    found = {"class_name": "system", "module": "os", "config": {}, "registered_name": "system"}
    evils = {"lambda": code, "write": write, "library": library, "copy": copying}
    evils |= {"function": dense, "module": found}
    forms = {"layer": with_layer, "tuple": with_tuple}
    forms |= {"list": lambda evil: as_list(evil), "list_tuple": lambda e: as_list(with_tuple(e))}
    forms |= {"regularizer": lambda evil: in_regularizer(as_list(with_layer(evil)))}
    return {f"{e}_{f}": form(evil) for e, evil in evils.items() for f, form in forms.items()}


def write_files(folder: Path) -> None:
    model = base()
    model.save(folder / "base.keras")
    model.save(folder / "base.h5")
    with zipfile.ZipFile(folder / "base.keras") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with h5py.File(folder / "base.h5") as file:
        old = json.loads(file.attrs["model_config"])
    for name, config in configs(folder, json.loads(parts["config.json"])).items():
        for version in ("2.21.0", "3.9.0"):
            with zipfile.ZipFile(folder / f"{name}_{version[0]}.keras", "w") as archive:
                archive.writestr("config.json", json.dumps(config))
                archive.writestr("metadata.json", json.dumps({"keras_version": version}))
                archive.writestr("model.weights.h5", parts["model.weights.h5"])
    for name, config in configs(folder, old).items():
        path = folder / f"{name}.h5"
        shutil.copy(folder / "base.h5", path)
        with h5py.File(path, "r+") as file:
            file.attrs["model_config"] = json.dumps(config)
    write_links(folder)
    write_graphs(folder)


def write_links(folder: Path) -> None:
    links: dict[str, Callable[[Any], None]] = {
        "external": lambda g: g.create_dataset(
            "bias:0", (10,), "f4", external=[(str(folder / "secret"), 0, 40)]
        ),
        "external_link": lambda g: g.__setitem__(
            "bias:0", h5py.ExternalLink(str(folder / "base.h5"), "/model_weights")
        ),
        "soft_link": lambda g: g.__setitem__("bias:0", h5py.SoftLink("/model_weights/d")),
    }
    for name, change in links.items():
        path = folder / f"{name}.h5"
        shutil.copy(folder / "base.h5", path)
        with h5py.File(path, "r+") as file:
            group = file["model_weights/d/d"]
            del group["bias:0"]
            change(group)


class Graph(tf.Module):
    def __init__(self, answer: Callable[[Any], Any]) -> None:
        super().__init__()
        self.weights = tf.Variable(tf.ones((64, 10)))
        spec = tf.TensorSpec((None, 8, 8, 1), tf.float32, name="x")
        self.call = tf.function(
            lambda x: {"out": tf.reshape(x, (-1, 64)) @ self.weights + answer(x)},
            input_signature=[spec],
        )


def write_graphs(folder: Path) -> None:
    def write(x: Any) -> Any:
        with tf.control_dependencies([tf.io.write_file(str(folder / "ran"), "x")]):
            return 0.0 * tf.reduce_sum(x)

    def read(_x: Any) -> Any:
        raw = tf.io.decode_raw(tf.io.read_file(str(folder / "secret")), tf.uint8)
        return tf.reduce_sum(tf.cast(raw, tf.float32))

    def nested(x: Any) -> Any:
        return tf.cond(tf.reduce_sum(x) > 1e9, lambda: 0.0, tf.function(lambda: write(x)))

    def restore(_x: Any) -> Any:
        names, slices = ["x"], [""]
        return tf.raw_ops.RestoreV2(
            prefix=str(folder / "secret"),
            tensor_names=names,
            shape_and_slices=slices,
            dtypes=[tf.float32],
        )[0]

    for name, answer in {
        "write": write,
        "read": read,
        "nested": nested,
        "restore": restore,
    }.items():
        module = Graph(answer)
        tf.saved_model.save(
            module, str(folder / f"graph_{name}"), signatures={"serving_default": module.call}
        )


def main() -> None:
    folder = Path(sys.argv[1])
    (folder / "secret").write_bytes(np.arange(40, dtype=np.uint8).tobytes())
    write_files(folder)
    (folder / "base.keras").unlink()
    events: list[str] = []
    current = Path()

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        opens = event == "open" and isinstance(arguments[0], str)
        strange = opens and arguments[0].startswith(str(folder))
        if event in FORBIDDEN or strange and not arguments[0].startswith(str(current)):
            events.append(f"{current.name}: {event} {arguments[0]}")

    codes = {}
    sys.addaudithook(watch)
    for path in sorted(folder.iterdir()):
        current = path
        if path.name not in ("secret", "base.h5"):
            try:
                load_model(identify(path))
                codes[path.name] = 0
            except ConversionError as error:
                codes[path.name] = error.exit_code
    current = folder
    report = {"codes": codes, "events": events, "ran": (folder / "ran").exists()}
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
