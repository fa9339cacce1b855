"""What distillation teaches and leaves: losses by known numbers, and what becomes of a student.

Usage: python -m tests.converters.programs.distill_report MODEL DATA REPORT
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from converters.data.dataset import TRAIN, VALIDATION, Samples
from converters.draft.draft import Draft, Materials
from converters.draft.emit import convert_function
from converters.progress import ignore
from converters.recipe.shape_steps import PruneChannels
from converters.recipe.training_steps import Distill, QatW8A8
from converters.sources.kinds import identify
from converters.sources.load import load_model
from converters.tflite.reader import read_model
from converters.training.feature_distill import (
    FeatureLoss,
    Features,
    LayerPair,
    attention,
    pair_features,
)
from converters.training.loss import Loss
from converters.training.teacher import Teacher
from converters.training.trainable import trainable_graph
from converters.work.maker import technique_of

ONE = Distill(epochs=1, learning_rate=1e-3)


def main() -> None:
    model, data, report = map(Path, sys.argv[1:4])
    source = load_model(identify(model))
    with np.load(data) as stored:
        images, labels = stored["x_train"][:300], stored["y_train"][:300]
    samples = {
        TRAIN: Samples(images[:200], labels[:200]),
        VALIDATION: Samples(images[200:], labels[200:]),
    }
    materials = Materials(source, samples, 0, ignore)
    found = {"loss": loss_of_known_numbers(), "features": features_of_known_numbers()}
    found |= files(materials, report.parent)
    found |= label_free(materials)
    report.write_text(json.dumps(found))


def loss_of_known_numbers() -> Any:
    """Logits of two samples of three classes, the labels and the teacher's probabilities."""
    teacher = Teacher(lambda batch: batch, True, temperature=2.0, alpha=0.75)
    wanted = tf.constant([[0.0, *np.log([0.7, 0.2, 0.1])], [2.0, *np.log([0.1, 0.1, 0.8])]])
    logits = tf.constant([[1.0, 0.0, -1.0], [0.5, 0.5, 2.0]])
    return Loss(True, teacher).call(wanted, logits).numpy().tolist()


def features_of_known_numbers() -> Any:
    """Two channels of 1x2 pixels, against themselves doubled, and against another picture."""
    mine = tf.constant([[[[3.0, 0.0], [0.0, 4.0]]]])
    other = tf.constant([[[[1.0, 0.0], [0.0, 0.0]]]])
    of_attention = Features(
        "attention", 2.0, (LayerPair("a", "a", 1, 2, 2),), lambda batch: [batch]
    )
    of_regressor = Features(
        "regressor", 0.5, (LayerPair("a", "a", 1, 2, 2),), lambda batch: [batch]
    )
    wanted = of_attention.predict(other.numpy())
    answers = Loss(True, Teacher(lambda batch: batch, True, 1.0, 1.0))
    flat = tf.reshape(mine, (1, -1))
    both = FeatureLoss(answers, of_attention)
    labels = np.log([[0.5, 0.5]]).astype(np.float32)
    y_true = tf.concat([[[0.0]], labels, wanted], axis=1)
    y_pred = tf.concat([[[7.0, 7.0]], attention(mine)], axis=1)
    return {
        "map": attention(mine).numpy()[0].tolist(),
        "doubled": float(of_attention.loss(attention(mine), attention(2 * mine))[0]),
        "attention": float(of_attention.loss(wanted, attention(mine))[0]),
        "regressor": float(of_regressor.loss(flat, flat * 0.5)[0]),
        "whole": float(both(y_true, y_pred)),
    }


def done(draft: Any, step: Any, materials: Any) -> Any:
    return technique_of(step)(replace(draft, found={}), step, materials)


def beginning(materials: Any) -> Any:
    source = materials.source
    return Draft(source, trainable_graph(source.graph, materials.samples[TRAIN], materials))


def files(materials: Any, folder: Path) -> Any:
    """A student with half of its channels gone: layers of its file, by what taught it."""
    student = done(beginning(materials), PruneChannels(macs_ratio=0.5), materials)
    pairs = pair_features("attention", 1.0, student.keras_model, materials.source).pairs
    found = {}
    for features in ("none", "attention", "regressor"):
        distilled = done(student, replace(ONE, features=features), materials)
        found[features] = {
            "float": layers_of(folder, convert_function(distilled.function, ignore)),
            "names": [layer.name for layer in distilled.keras_model.layers],
            "weights": digest(distilled.keras_model),
        }
    for features in ("none", "regressor"):
        qat = QatW8A8(epochs=1, learning_rate=1e-4, teacher="original", features=features)
        found[features]["int8"] = layers_of(folder, done(student, qat, materials).content)
    return {
        "files": found,
        "pairs": [[p.student, p.teacher, p.height, p.width, p.channels] for p in pairs],
        "channels": {
            layer.name: layer.output.shape[-1] for layer in student.keras_model.layers[1:]
        },
    }


def layers_of(folder: Path, content: Any) -> Any:
    path = folder / "made.tflite"
    path.write_bytes(content)
    model = read_model(path)
    kinds = [str(operator) for operator in model.operators]
    return kinds + sorted(f"{tensor.dtype} {tensor.shape}" for tensor in model.tensors)


def label_free(materials: Any) -> Any:
    """Weights after a training by a teacher alone, with the labels and with any others."""
    train = materials.samples[TRAIN]
    shuffled = replace(train, labels=np.random.default_rng(3).permutation(train.labels))
    other = replace(materials, samples={**materials.samples, TRAIN: shuffled})
    found = {}
    for step in (
        replace(ONE, alpha=1.0),
        replace(ONE, alpha=0.5),
        QatW8A8(
            epochs=1,
            learning_rate=1e-4,
            teacher="original",
            alpha=1.0,
            mix="mixup_cutmix",
            warmup_epochs=0.5,
            weight_average=0.9,
        ),
    ):
        start = beginning(materials)
        digests = [digest(done(start, step, given).keras_model) for given in (materials, other)]
        found[f"{step.kind} {step.alpha:g}"] = digests[0] == digests[1]
    return {"same_without_labels": found}


def digest(model: Any) -> Any:
    weights = b"".join(np.ascontiguousarray(w).tobytes() for w in model.get_weights())
    return hashlib.sha256(weights).hexdigest()


if __name__ == "__main__":
    main()
