"""Hostile SavedModels and HDF5 files, and harmless ones of the same form, for `hostile_files`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tf_keras.protobuf import saved_metadata_pb2

v1 = tf.compat.v1


class Graph(tf.Module):
    """A model of one layer that adds something to its answers."""

    def __init__(self, extra: Callable[[Any], Any]) -> None:
        super().__init__()
        self.weights = tf.Variable(tf.ones((64, 10)))
        self.table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer([0, 1], [0.0, 1.0], tf.int64, tf.float32), 0.0
        )
        spec = tf.TensorSpec((None, 8, 8, 1), tf.float32, name="x")
        self.call = tf.function(
            lambda x: {"out": tf.reshape(x, (-1, 64)) @ self.weights + extra(x)},
            input_signature=[spec],
        )


def graphs(folder: Path) -> dict[str, tuple[Callable[[Any], Any], str]]:
    """Functions of the input by name, with words of the refusal; "" for the harmless ones."""
    harmless = {name: (function, "") for name, function in harmless_graphs().items()}
    return {**file_graphs(folder), **nested_graphs(folder), **harmless}


def nested_graphs(folder: Path) -> dict[str, tuple[Callable[[Any], Any], str]]:
    """Functions that write a file from within control flow."""

    def write(x: Any) -> Any:
        with tf.control_dependencies([tf.io.write_file(str(folder / "ran"), "x")]):
            return 0.0 * tf.reduce_sum(x)

    def loop(x: Any) -> Any:
        return tf.while_loop(lambda i: i < 1.0, lambda i: (i + 1.0 + write(x),), (0.0,))[0]

    reason = "op WriteFile"
    return {
        "write": (write, reason),
        "in_cond": (
            lambda x: tf.cond(tf.reduce_sum(x) > 1e9, lambda: 0.0, lambda: write(x)),
            reason,
        ),
        "in_loop": (loop, reason),
        "in_function": (tf.function(lambda x: tf.function(write)(x)), reason),
    }


def file_graphs(folder: Path) -> dict[str, tuple[Callable[[Any], Any], str]]:
    """Functions whose ops read, write or run something."""
    mark, secret = str(folder / "ran"), str(folder / "secret")
    raw = tf.raw_ops

    def read(_x: Any) -> Any:
        numbers = tf.io.decode_raw(tf.io.read_file(secret), tf.uint8)
        return tf.reduce_sum(tf.cast(numbers, tf.float32))

    def show(x: Any) -> Any:
        with tf.control_dependencies([tf.print(x, output_stream=f"file://{mark}")]):
            return 0.0 * tf.reduce_sum(x)

    def save(x: Any) -> Any:
        op = raw.SaveV2(prefix=mark, tensor_names=["x"], shape_and_slices=[""], tensors=[x])
        with tf.control_dependencies([op]):
            return 0.0 * tf.reduce_sum(x)

    def restore(_x: Any) -> Any:
        return raw.RestoreV2(
            prefix=secret, tensor_names=["x"], shape_and_slices=[""], dtypes=[tf.float32]
        )[0]

    def data_set(_x: Any) -> Any:
        lines = tf.data.TextLineDataset(secret)
        return lines.reduce(0.0, lambda total, _line: total + 1.0)

    def python(x: Any) -> Any:
        return tf.py_function(lambda: 1.0, [], tf.float32) + 0.0 * tf.reduce_sum(x)

    return {
        "read": (read, "op ReadFile"),
        "print": (show, "op PrintV2"),
        "find": (
            lambda _x: tf.cast(tf.size(tf.io.matching_files("/etc/*")), tf.float32),
            "op MatchingFiles",
        ),
        "save": (save, "SaveV2, which reads or writes files"),
        "restore": (restore, "RestoreV2, which reads or writes files"),
        "dataset": (data_set, "the op"),
        "python": (python, "op EagerPyFunc"),
        "constant_file": (
            lambda _x: raw.ImmutableConst(dtype=tf.float32, shape=[10], memory_region_name=secret),
            "op ImmutableConst",
        ),
    }


def harmless_graphs() -> dict[str, Callable[[Any], Any]]:
    """Functions of the same forms that compute only."""
    text = tf.strings
    return {
        "plain": tf.reduce_max,
        "plain_cond": lambda x: tf.cond(tf.reduce_sum(x) > 1e9, lambda: 0.0, lambda: 1.0),
        "plain_loop": lambda _x: tf.while_loop(lambda i: i < 3.0, lambda i: (i + 1.0,), (0.0,))[0],
        "plain_function": tf.function(lambda x: tf.function(tf.reduce_sum)(x)),
        "plain_text": lambda x: tf.cast(text.length(text.as_string(tf.reduce_sum(x))), tf.float32),
        "plain_random": lambda _x: 0.0 * tf.random.gamma((1, 1), 1.0),
        "plain_sparse": lambda x: tf.reduce_sum(tf.sparse.to_dense(tf.sparse.from_dense(x))),
    }


def write_graphs(folder: Path) -> dict[str, str]:
    """Write SavedModels of TensorFlow 2; name of each to the words of its refusal."""
    reasons = {}
    for name, (extra, reason) in graphs(folder).items():
        path = folder / f"graph_{name}"
        module = Graph(extra)
        tf.saved_model.save(module, str(path), signatures={"serving_default": module.call})
        reasons[path.name] = reason
    plain = folder / "graph_plain"
    for name, reason in {"split": "has saved_model.cpb", "linked": "is a link to a file"}.items():
        shutil.copytree(plain, folder / f"graph_{name}")
        reasons[f"graph_{name}"] = reason
    (folder / "graph_split" / "saved_model.cpb").write_bytes(b"")
    data = folder / "graph_linked" / "variables" / "variables.data-00000-of-00001"
    data.unlink()
    data.symlink_to(folder / "secret")
    shutil.copytree(plain, folder / "graph_inner_link")
    index = folder / "graph_inner_link" / "variables" / "variables.index"
    index.rename(index.with_name("real"))
    index.symlink_to("real")
    reasons["graph_inner_link"] = ""
    (folder / "graph_cut").mkdir()
    content = (plain / "saved_model.pb").read_bytes()
    (folder / "graph_cut" / "saved_model.pb").write_bytes(content[: len(content) // 2])
    reasons["graph_unlisted"] = write_unlisted(folder)
    return {**reasons, "graph_cut": "saved_model.pb is damaged"}


def write_unlisted(folder: Path) -> str:
    """Write a SavedModel whose table is filled by a function that is not in its list of functions.

    TensorFlow calls that function when it loads the model; here it writes a file.
    """
    path = folder / "graph_unlisted"
    shutil.copytree(folder / "graph_plain", path)
    file = path / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    meta_graph = model.meta_graphs[0]
    objects = meta_graph.object_graph_def
    name = next(name for name in objects.concrete_functions if "_initializer" in name)
    del objects.concrete_functions[name]
    for item in objects.nodes:
        names = (
            *item.function.concrete_functions,
            item.bare_concrete_function.concrete_function_name,
        )
        if name in names:
            item.bare_concrete_function.Clear()
            item.bare_concrete_function.concrete_function_name = name
    with tf.Graph().as_default() as body:
        tf.raw_ops.SaveV2(
            prefix=str(folder / "ran"), tensor_names=["x"], shape_and_slices=[""], tensors=[1.0]
        )
    functions = meta_graph.graph_def.library.function
    function = next(function for function in functions if function.signature.name == name)
    function.Clear()
    function.signature.name = name
    for node in body.as_graph_def().node:
        node.input[:] = [f"{source}:output:0" for source in node.input]
        function.node_def.append(node)
        if node.op == "SaveV2":
            function.control_ret[node.name] = node.name
            function.signature.control_output.append(node.name)
    file.write_bytes(model.SerializeToString())
    return "that the model may call has SaveV2"


def write_session_graphs(folder: Path) -> dict[str, str]:
    """Write SavedModels of TensorFlow 1; name of each to the words of its refusal."""

    def restore(y: Any) -> Any:
        return (
            y
            + tf.raw_ops.RestoreV2(
                prefix=str(folder / "secret"),
                tensor_names=["x"],
                shape_and_slices=[""],
                dtypes=[tf.float32],
            )[0]
        )

    def save_first(y: Any) -> Any:
        saver = v1.train.Saver()
        op = saver.as_saver_def().save_tensor_name
        with tf.control_dependencies([v1.get_default_graph().get_tensor_by_name(op)]):
            return tf.identity(y)

    cases: dict[str, tuple[bool, Any, str]] = {
        "session_variables": (True, None, ""),
        "session_references": (False, None, ""),
        "session_restore": (False, restore, "its graph runs RestoreV2"),
        "session_save": (True, save_first, "SaveV2"),
    }
    for name, (resource, change, _) in cases.items():
        with v1.Graph().as_default(), v1.Session() as session:
            x = v1.placeholder(tf.float32, (None, 8, 8, 1), name="x")
            w = v1.get_variable("w", (64, 10), use_resource=resource)
            y = tf.reshape(x, (-1, 64)) @ w
            y = change(y) if change else y
            session.run(v1.global_variables_initializer())
            info = v1.saved_model.utils.build_tensor_info
            signature = v1.saved_model.build_signature_def({"x": info(x)}, {"y": info(y)})
            builder = v1.saved_model.builder.SavedModelBuilder(str(folder / name))
            builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
            builder.save()
    return {name: reason for name, (_, _, reason) in cases.items()}


def write_decoys(folder: Path, model: Any) -> dict[str, str]:
    """Write SavedModels of Keras whose metadata hides a Lambda behind a harmless object."""
    plain = folder / "keras_folder"
    model.save(plain, save_format="tf")
    marshalled = {"class_name": "Lambda", "config": {"name": "evil", "function": ["x", None, None]}}
    for name in ("first", "second_root", "nested"):
        path = folder / f"keras_folder_{name}"
        shutil.copytree(plain, path)
        file = path / "keras_metadata.pb"
        metadata = saved_metadata_pb2.SavedMetadata()
        metadata.ParseFromString(file.read_bytes())
        root = next(node for node in metadata.nodes if node.node_path == "root")
        content = json.loads(root.metadata)
        if name == "second_root":
            again = metadata.nodes.add()
            again.CopyFrom(root)
            root = again
        decoy = {"zz": {"name": "a", "class_name": "Dense", "config": {"name": "a"}}}
        if name == "nested":
            content["config"]["layers"][-1]["config"]["activity_regularizer"] = marshalled
        else:
            content["config"]["layers"].append(marshalled)
        root.metadata = json.dumps({**decoy, **content})
        file.write_bytes(metadata.SerializeToString())
    # They are loaded as graphs, which have the layers' arithmetic and none of their Python.
    names = ("keras_folder", *(f"keras_folder_{n}" for n in ("first", "second_root", "nested")))
    return dict.fromkeys(names, "")


def change_hdf5(folder: Path) -> dict[str, tuple[Callable[[Any, str], None], str]]:
    """Functions that replace an array of an HDF5 group, with words of the refusal."""
    secret, other = str(folder / "secret"), str(folder / "base.h5")

    def external(group: Any, name: str) -> None:
        group.create_dataset(name, (10,), "f4", external=[(secret, 0, 40)])

    def virtual(group: Any, name: str) -> None:
        layout = h5py.VirtualLayout((10,), "f4")
        layout[:] = h5py.VirtualSource(other, "model_weights/d/d/bias:0", (10,))
        group.create_virtual_dataset(name, layout)

    def external_link(group: Any, name: str) -> None:
        group[name] = h5py.ExternalLink(other, "/model_weights/d/d/bias:0")

    def soft_link(group: Any, name: str) -> None:
        group[name] = h5py.SoftLink("/somewhere")

    def bomb(group: Any, name: str) -> None:
        group.create_dataset(
            name, (2**26,), "f4", chunks=(2**20,), compression="gzip", fillvalue=0.0
        )

    def plain(group: Any, name: str) -> None:
        group.create_dataset(name, data=np.zeros(10, np.float32), compression="gzip", shuffle=True)

    return {
        "external": (external, "is kept in another file"),
        "virtual": (virtual, "is kept in another file"),
        "external_link": (external_link, "is a link to another place"),
        "soft_link": (soft_link, "is a link to another place"),
        "bomb": (bomb, "far more than the file"),
        "plain": (plain, ""),
    }
