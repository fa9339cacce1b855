"""Devices that train one model together: several GPUs of one machine, or several machines.

Each device takes batches of its own, and the gradients are averaged; so one step sees as many
batches as there are devices, and an epoch has so many fewer steps. BatchNormalization normalizes by
the batch of its own device; the averages that it keeps, as the ranges of activations in
quantization-aware training, are averaged over the devices after each epoch.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras

from converters.data.fields import fed, gathered
from converters.errors import ConversionError
from converters.workers import Worker, wait_for_others

Array = npt.NDArray[Any]

#: So long the others may take until their conversions have started too.
START_SECONDS = 300.0
#: Those who are all there find each other in seconds.
_JOIN_SECONDS = 120
#: What TensorFlow raises when another worker is gone.
ENDED = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)


@dataclass(frozen=True)
class Share:
    """What of each epoch the devices of one worker take."""

    first: int = 0
    """Number of its first device, from 0."""
    count: int = 1
    """Its devices."""
    of: int = 1
    """All devices."""


def begin(worker: Worker | None, start_seconds: float = START_SECONDS) -> Any:
    """Bring the devices together that are to train; before anything else uses TensorFlow.

    Args:
        worker: Who this process is, if there are several.
        start_seconds: How long the others may take to start.

    Returns:
        A `tf.distribute.Strategy`; None where there is one device.

    Raises:
        ConversionError: Another worker does not start, or one has another configuration.
    """
    if worker is not None:
        return _together(worker, start_seconds)
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return None


def _together(worker: Worker, start_seconds: float) -> Any:
    wait_for_others(worker, start_seconds)
    # TensorFlow would wait for an hour, and let nothing else of Python run: only the default of a
    # signal, which ends the process, bounds it where another worker has died right now.
    before = signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_JOIN_SECONDS)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (RuntimeError, ValueError, tf.errors.OpError) as error:
        raise ConversionError(
            f"{worker} cannot train with the others: {str(error).splitlines()[0]}",
            "start the same conversion on every worker again",
        ) from error
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def lost_workers_told(worker: Worker | None) -> Iterator[None]:
    """Make one message of what TensorFlow raises when another worker is gone.

    TensorFlow sees within seconds that a connection has ended, and within half a minute that a
    machine says nothing any more.

    Raises:
        ConversionError: It is gone.
    """
    try:
        yield
    except ENDED as error:
        if worker is None:
            raise
        raise ConversionError(
            f"another worker ended before {worker} was done: {str(error).splitlines()[0]}",
            "see what the others say, then start the conversion on every worker again",
        ) from error


def scope(strategy: Any) -> Any:
    """Where a model is made that the devices are to train together."""
    return contextlib.nullcontext() if strategy is None else strategy.scope()


def shared(model: Any, strategy: Any) -> Any:
    """A model that the devices can train together: itself where there is one device."""
    if strategy is None:
        return model
    with strategy.scope():
        return copy_of(model)


def unshared(model: Any, strategy: Any) -> Any:
    """The model of `shared` as one of this process alone."""
    return model if strategy is None else copy_of(model)


def copy_of(model: Any) -> Any:
    """A model of layers of its own with the same weights."""
    copy = tf_keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def replicas(strategy: Any) -> int:
    """Devices that train; one where there is no strategy."""
    return 1 if strategy is None else int(strategy.num_replicas_in_sync)


def steps_an_epoch(samples: int, batch_size: int, devices: int) -> int:
    """Steps in which every device takes a batch; what does not divide by them is left out."""
    return max(1, -(-(samples // devices) // batch_size))


def rows_of(
    order: npt.NDArray[np.int64], batch_size: int, share: Share
) -> Iterator[npt.NDArray[np.int64]]:
    """The batches of a share of an epoch, its devices in turn; no two devices' rows overlap.

    Args:
        order: Rows of all samples as the epoch has them, the same for every worker.
        batch_size: Samples a batch of one device.
        share: Whose.
    """
    whole = order[: len(order) - len(order) % share.of]
    for start in range(0, len(whole), batch_size * share.of):
        step = whole[start : start + batch_size * share.of]
        for device in range(share.first, share.first + share.count):
            yield step[device :: share.of]


def dataset_of(make: Callable[[Share], Any], strategy: Any) -> Any:
    """What each device is fed.

    Args:
        make: A `tf.data.Dataset` of the batches of a share, its devices in turn.
        strategy: The model's.
    """
    of = replicas(strategy)
    if of == 1:
        return make(Share())

    def of_worker(context: Any) -> Any:
        count = of // context.num_input_pipelines
        return make(Share(context.input_pipeline_id * count, count, of))

    return strategy.distribute_datasets_from_function(of_worker)


def predictor(model: Any, names: Sequence[str]) -> Callable[[Array], Array]:
    """Asks a model about a batch, on this worker alone; in inference.

    Args:
        model: Of tf-keras.
        names: Of several outputs; empty for a single one.
    """
    strategy = model.distribute_strategy
    if replicas(strategy) == 1:
        return lambda batch: gathered(model.predict_on_batch(fed(batch)), names)

    def ask(x: Any) -> Any:
        return model(x, training=False)

    def ask_each(x: Any) -> Any:
        return strategy.run(ask, args=(x,))

    graph = tf.function(ask_each, autograph=False, reduce_retracing=True)

    def of_first(answers: Any) -> Any:
        return strategy.experimental_local_results(answers)[0]

    def predict(batch: Array) -> Array:
        taken = fed(batch)
        tensors = [tf.constant(one) for one in taken] if batch.dtype.names else tf.constant(taken)
        answers = graph(tensors)
        return gathered([of_first(one) for one in answers] if names else of_first(answers), names)

    return predict


def workers_of(strategy: Any) -> tuple[int, int]:
    """Number of this worker, from 0, and how many there are."""
    resolver = getattr(strategy, "cluster_resolver", None)
    if resolver is None or not resolver.cluster_spec().as_dict():
        return 0, 1
    spec = resolver.cluster_spec().as_dict()
    leads = len(spec.get("chief", ()))
    number = resolver.task_id + (leads if resolver.task_type == "worker" else 0)
    return number, leads + len(spec.get("worker", ()))


def summed(values: Sequence[float], strategy: Any) -> list[float]:
    """Numbers of this worker, added to those of the others; all have to ask for it."""
    if workers_of(strategy)[1] == 1:
        return list(values)
    devices = replicas(strategy) // workers_of(strategy)[1]
    part = tf.constant(np.asarray(values, np.float64) / devices)
    of_devices = strategy.experimental_distribute_values_from_function(lambda _: part)
    total = strategy.reduce("SUM", of_devices, axis=None)
    return [float(value) for value in np.asarray(total)]


class Agree(tf_keras.callbacks.Callback):  # type: ignore[misc]
    """Gives every device the same weights before the first batch and after each epoch."""

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        """Begin alike, also where machines have computed a last bit differently.

        Raises:
            ConversionError: The models have not one shape.
        """
        strategy = self.model.distribute_strategy
        workers = workers_of(strategy)[1]
        weights = self.model.get_weights()
        places = [float(position * w.size) for position, w in enumerate(weights, start=1)]
        mine = [float(len(weights)), sum(places)]
        if summed(mine, strategy) != [workers * value for value in mine]:
            raise ConversionError(
                "the workers have models of different shapes",
                "give all the same model, data, recipe and seed, and versions of kedge",
            )
        self.model.set_weights([_mean(w, strategy, workers) for w in weights])

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """What each device counts for itself, such as moving averages, is averaged by reading."""
        self.model.set_weights(self.model.get_weights())


def _mean(weights: npt.NDArray[Any], strategy: Any, workers: int) -> npt.NDArray[Any]:
    if workers == 1 or not np.issubdtype(weights.dtype, np.floating):
        return weights
    total = np.asarray(summed(weights.ravel().tolist(), strategy))
    return (total / workers).reshape(weights.shape).astype(weights.dtype)


def agreement(model: Any) -> list[Any]:
    """The callbacks that keep devices together; none where there is one."""
    return [Agree()] if replicas(model.distribute_strategy) > 1 else []


def meet(strategy: Any) -> None:
    """Wait until every worker has come so far."""
    summed([0.0], strategy)
