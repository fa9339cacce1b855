"""Feeds and trains small models with mixed samples; writes what they saw and what came of it.

Usage: python -m tests.converters.programs.mixed_report REPORT
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from converters.data.dataset import Samples
from converters.data.fields import join_fields
from converters.data.task import CLASSIFIER, Task
from converters.training.batches import BatchSettings, batches
from converters.training.fine_tune import TrainingSettings, fine_tune
from converters.training.loss import Loss
from converters.training.mixing import mixed_task
from converters.training.teacher import Teacher

REGRESSION = Task("regression", "mse", "mae", False)
MIXED = BatchSettings(32, mix="mixup")


def network(*heads: int) -> Any:
    tf_keras.utils.set_random_seed(3)
    inputs = tf_keras.Input((4,))
    hidden = tf_keras.layers.Dense(16, activation="relu")(inputs)
    outputs = [tf_keras.layers.Dense(units)(hidden) for units in heads]
    return tf_keras.Model(inputs, outputs if len(outputs) > 1 else outputs[0])


def samples() -> Samples:
    random = np.random.default_rng(1)
    labels = np.arange(256) % 3
    numbers = random.normal(0, 1, (256, 4)) + np.eye(4)[labels] * 3
    return Samples(numbers.astype(np.float32), labels)


def feeds() -> dict[str, Any]:
    """Batches of pictures as a student gets them, beside what the teacher was asked."""
    random = np.random.default_rng(2)
    pictures = random.random((64, 8, 8, 1)).astype(np.float32)
    data = Samples(pictures, np.arange(64) % 3, task=mixed_task(CLASSIFIER))
    model = tf_keras.Sequential(
        [tf_keras.layers.Input((8, 8, 1)), tf_keras.layers.Flatten(), tf_keras.layers.Dense(3)]
    )
    settings = BatchSettings(32, flip=True, mix="mixup_cutmix")
    seen: list[Any] = []

    def answer(batch: Any) -> Any:
        seen.append(batch)
        return np.zeros((len(batch), 3), np.float32)

    def epoch(number: int) -> list[Any]:
        of_epoch = batches(data, settings, range(number, number + 1), Teacher(answer, False), model)
        return [(x.numpy(), y.numpy()) for x, y in of_epoch]

    first = epoch(0)
    asked, again, following = list(seen), epoch(0), epoch(1)
    originals = {picture.tobytes() for picture in [*pictures, *pictures[:, :, ::-1]]}
    answers = np.concatenate([y for _, y in first])
    shares = answers[:, 1:4]
    return {
        "teacher_saw_student_batch": all(
            bool((x == batch).all()) for (x, _), batch in zip(first, asked, strict=True)
        ),
        "is_mixed": not all(picture.tobytes() in originals for x, _ in first for picture in x),
        "labels_are_shares": bool(
            np.allclose(shares.sum(axis=1), 1)
            and (answers[:, 0] == shares.argmax(axis=1)).all()
            and ((shares > 0.01) & (shares < 0.99)).any()
        ),
        "same_epoch_again": all(
            bool((x == other).all()) for (x, _), (other, _) in zip(first, again, strict=True)
        ),
        "next_epoch_differs": bool((first[0][0] != following[0][0]).any()),
    }


def weighted_loss() -> float:
    task = replace(mixed_task(CLASSIFIER), class_weights=(2.0, 1.0, 1.0))
    logits = tf.math.log([[0.5, 0.3, 0.2]])
    return float(Loss(True, None, task).call(tf.constant([[0.0, 0.75, 0.0, 0.25]]), logits)[0])


def losses() -> dict[str, Any]:
    """Losses of each epoch for each task; a teacher teaches where the task is a regression."""
    settings = TrainingSettings(4, (1e-2,), MIXED, probabilities=False)
    data = samples()
    targets = data.stored[:, :1] * 2
    regression = replace(data, task=REGRESSION, targets=targets)
    answers = {"kind": data.labels, "amount": targets}
    parts = {"kind": CLASSIFIER, "amount": REGRESSION}
    several = replace(data, task=Task("several", parts=parts), targets=join_fields(answers))
    teacher = Teacher(lambda batch: batch[:, :1] * 2, False)
    both = replace(settings, probabilities={"kind": False, "amount": False})
    return {
        "classification": fine_tune(network(3), data, settings).losses,
        "regression": fine_tune(network(1), regression, settings, teacher).losses,
        "several": fine_tune(network(3, 1), several, both).losses,
    }


def main() -> None:
    report = {**feeds(), "weighted_loss": weighted_loss(), "losses": losses()}
    Path(sys.argv[1]).write_text(json.dumps(report))


if __name__ == "__main__":
    main()
