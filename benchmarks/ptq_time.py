"""How long post-training quantization takes through kedge, beside the script that a user writes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

#: The plain way: Keras, TFLiteConverter, a representative data set, and the accuracy of the model
#: and of the file on the test images, without which nobody ships it.
_BARE = """
import sys, tarfile, io, numpy as np, tensorflow as tf, tf_keras
from PIL import Image
from ai_edge_litert.interpreter import Interpreter
source, data, out = sys.argv[1:]
def images(path):
    found = {}
    with tarfile.open(path) as tar:
        for member in tar:
            if not member.isfile():
                continue
            split, name, file = member.name.split("/")[-3:]
            if split == "train" and len(found.get((split, name), [])) >= 50:
                continue
            image = Image.open(io.BytesIO(tar.extractfile(member).read())).convert("RGB")
            found.setdefault((split, name), []).append(np.asarray(image))
    names = sorted({name for _, name in found})
    def of(split):
        x = np.concatenate([np.stack(found[split, name]) for name in names])
        y = np.repeat(np.arange(len(names)), [len(found[split, name]) for name in names])
        return x.astype(np.float32), y
    return of("train"), of("test")
if data.endswith(".npz"):
    with np.load(data) as arrays:
        x, test, y = arrays["x_train"][:500], arrays["x_test"], arrays["y_test"]
else:
    (x, _), (test, y) = images(data)
model = tf_keras.models.load_model(source, compile=False)
converter = tf.lite.TFLiteConverter.from_keras_model(model)
converter.optimizations = [tf.lite.Optimize.DEFAULT]
converter.representative_dataset = lambda: ([row[None].astype(np.float32)] for row in x)
converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
converter.inference_input_type = converter.inference_output_type = tf.int8
content = converter.convert()
open(out, "wb").write(content)
print((model.predict(test, batch_size=250, verbose=0).argmax(1) == y).mean())
it = Interpreter(model_path=out)
it.allocate_tensors()
i, o = it.get_input_details()[0], it.get_output_details()[0]
scale, zero = i["quantization"]
right = 0
for image, label in zip(np.clip(np.round(test / scale) + zero, -128, 127).astype(np.int8), y):
    it.set_tensor(i["index"], image[None])
    it.invoke()
    right += it.get_tensor(o["index"]).argmax() == label
print(right / len(y))
"""


def ptq_times(model: Path, data: Path, work: Path, rounds: int) -> tuple[tuple[float, float], ...]:
    """Both ways in turn, each a fresh process from nothing to the judged file.

    Args:
        model: A Keras model.
        data: A tar of images, or an .npz.
        work: Folder for what they write.
        rounds: Number of times that each way runs.

    Returns:
        Of each round: seconds of kedge, seconds of the bare script.
    """
    bare = [sys.executable, "-c", _BARE, str(model), str(data), str(work / "bare.tflite")]
    found = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(dir=work) as folder:
            ours = [sys.executable, "-m", "toolkit.cli", "convert", str(model)]
            ours += ["--data", str(data), "--out", f"{folder}/out"]
            # A cache of its own, so that no round finds what another one made.
            environment = {
                **os.environ,
                "TF_USE_LEGACY_KERAS": "1",
                "TF_CPP_MIN_LOG_LEVEL": "3",
                "XDG_CACHE_HOME": folder,
            }
            found.append((_seconds(ours, environment), _seconds(bare, environment)))
    return tuple(found)


def _seconds(command: list[str], environment: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return time.perf_counter() - started
