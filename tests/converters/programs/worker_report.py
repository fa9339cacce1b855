"""One of two workers that train the digits together; writes what it did and what it has then.

Usage: python -m tests.converters.programs.worker_report MODEL DATA REPORT KIND...
TF_CONFIG tells which worker it is.
Without it two devices of this machine train together.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from converters.data.dataset import TRAIN, VALIDATION, Samples
from converters.draft.draft import Draft, Materials
from converters.progress import ignore
from converters.recipe.training_steps import (
    ClusterWeights,
    Distill,
    FineTune,
    QatW8A8,
    SparseWeights,
)
from converters.sources.kinds import identify
from converters.sources.load import load_model
from converters.training import batches as batches_module
from converters.training.parallel import begin, meet
from converters.training.trainable import trainable_graph
from converters.work.maker import technique_of
from converters.workers import worker_of

TRAINED = 600
STEPS = {
    "tune": FineTune(epochs=2, learning_rate="auto", batch_size=25),
    "distill": Distill(
        epochs=1,
        learning_rate=1e-3,
        batch_size=25,
        augment="shift",
        mix="mixup_cutmix",
        weight_average=0.9,
    ),
    "qat_w8a8": QatW8A8(epochs=2, learning_rate=1e-4, batch_size=25, teacher="original"),
    "sparse": SparseWeights(epochs=2, learning_rate=1e-3, batch_size=25, sparsity=0.5),
    "cluster": ClusterWeights(epochs=1, learning_rate=1e-4, batch_size=25),
}


def strategy_of(worker: Any) -> Any:
    if worker is not None:
        return begin(worker)
    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def main() -> None:
    model, data, report = map(Path, sys.argv[1:4])
    strategy = strategy_of(worker_of(os.environ))
    source = load_model(identify(model))
    with np.load(data) as stored:
        images, labels = stored["x_train"], stored["y_train"]
    samples = {
        TRAIN: Samples(images[:TRAINED], labels[:TRAINED]),
        VALIDATION: Samples(images[TRAINED:], labels[TRAINED:]),
    }
    found = {}
    for kind in sys.argv[4:]:
        found[kind] = trained(STEPS[kind], source, samples, strategy)
    meet(strategy)
    report.write_text(json.dumps(found))
    sys.stdout.flush()
    os._exit(0)


def trained(step: Any, source: Any, samples: Any, strategy: Any) -> Iterator[Any]:
    materials = Materials(source, samples, 0, ignore, strategy=strategy)
    draft = Draft(source, trainable_graph(source.graph, samples[TRAIN], materials))
    seen = []
    shuffled = batches_module.share_batches

    def share_batches(*arguments: Any) -> Iterator[Any]:
        for rows in shuffled(*arguments):
            seen.append([int(row) for row in rows])
            yield rows

    batches_module.share_batches = share_batches
    try:
        made = technique_of(step)(replace(draft, found={}), step, materials)
    finally:
        batches_module.share_batches = shuffled
    model = made.keras_model
    weights = b"".join(np.ascontiguousarray(w).tobytes() for w in model.get_weights())
    kernels = [w for w in model.get_weights() if w.ndim > 1]
    judged = samples[VALIDATION]
    chosen = np.asarray(model.predict_on_batch(judged.batch(slice(None)))).argmax(axis=1)
    return {
        "weights": hashlib.sha256(weights).hexdigest(),
        "accuracy": float((chosen == judged.labels).mean()),
        "rows": seen,
        "steps": made.found["steps_an_epoch"],
        "devices": made.found["devices"],
        "plain": not tf.distribute.has_strategy() and model.distribute_strategy is not strategy,
        "file": len(made.content or b""),
        "zeros": float(np.mean(np.concatenate([k.ravel() for k in kernels]) == 0)),
        "distinct": max(len(np.unique(k)) for k in kernels),
    }


if __name__ == "__main__":
    main()
