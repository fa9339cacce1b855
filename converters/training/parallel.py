"""Devices that train one model together: several GPUs of one machine, or several machines.

Each device takes batches of its own, and the gradients are averaged. One step therefore processes
one batch a device: with n devices, an epoch has 1/n of the steps.
BatchNormalization normalizes by the batch of its own device. Its moving averages, and the ranges of
activations in quantization-aware training, are averaged over the devices after each epoch.
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

from converters.data.fields import from_keras_outputs, to_keras_inputs
from converters.errors import ConversionError
from converters.workers import Worker, wait_for_others

Array = npt.NDArray[Any]

#: Longest time, in seconds, until the conversions of the other workers have started too.
START_SECONDS = 300.0
#: Longest time, in seconds, to connect; workers that have all started need only seconds.
_JOIN_SECONDS = 120
#: Errors of TensorFlow when another worker has ended.
WORKER_LOST_ERRORS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)


@dataclass(frozen=True)
class DeviceShare:
    """Share of each epoch that the devices of one worker take."""

    first: int = 0
    """Number of the worker's first device, from 0."""
    count: int = 1
    """Number of the worker's devices."""
    devices: int = 1
    """Number of devices of all workers."""


def begin(worker: Worker | None, start_seconds: float = START_SECONDS) -> Any:
    """Connect the devices that will train; call it before anything else uses TensorFlow.

    Args:
        worker: This process among several workers; None if it works alone.
        start_seconds: Longest time in which the other workers may start.

    Returns:
        `tf.distribute.Strategy`; None where there is one device.

    Raises:
        ConversionError: Another worker does not start, or has another configuration.
    """
    if worker is not None:
        return _join_workers(worker, start_seconds)
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return None


def _join_workers(worker: Worker, start_seconds: float) -> Any:
    wait_for_others(worker, start_seconds)
    # TensorFlow would wait for an hour, during which no other Python code runs. If another worker
    # dies right now, only the default action of a signal, which ends the process, limits the wait.
    before = signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_JOIN_SECONDS)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (RuntimeError, ValueError, tf.errors.OpError) as error:
        raise ConversionError(
            f"{worker} cannot train with the others: {str(error).splitlines()[0]}",
            "Start the same conversion on every worker again.",
        ) from error
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def report_lost_workers(worker: Worker | None) -> Iterator[None]:
    """Translate the errors of TensorFlow when another worker has ended.

    TensorFlow notices within seconds that a connection has ended, and within half a minute that a
    machine no longer answers.

    Raises:
        ConversionError: Another worker has ended: the conversion must start again on every worker.
    """
    try:
        yield
    except WORKER_LOST_ERRORS as error:
        if worker is None:
            raise
        raise ConversionError(
            f"another worker ended before {worker} was done: {str(error).splitlines()[0]}",
            "See what the others say, then start the conversion on every worker again.",
        ) from error


def scope(strategy: Any) -> Any:
    """Context in which a model for these devices has to be made."""
    return contextlib.nullcontext() if strategy is None else strategy.scope()


def from_strategy(model: Any, strategy: Any) -> Any:
    """Copy, for this process alone, of a model that devices trained; itself for one device."""
    return model if strategy is None else copy_model(model)


def copy_model(model: Any) -> Any:
    """Copy of a model, with new layers and equal weights."""
    copy = tf_keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def replicas(strategy: Any) -> int:
    """Number of devices that train; 1 without a strategy."""
    return 1 if strategy is None else int(strategy.num_replicas_in_sync)


def steps_an_epoch(samples: int, batch_size: int, devices: int) -> int:
    """Number of steps in which every device takes a batch, without an uneven rest of samples."""
    return max(1, -(-(samples // devices) // batch_size))


def share_batches(
    order: npt.NDArray[np.int64], batch_size: int, share: DeviceShare
) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the batches of one worker's devices in turn; no two devices have a row in common.

    Args:
        order: Rows of all samples in the order of the epoch, int64, shape (n,), equal for every
            worker.
        batch_size: Number of samples in the batch of one device.
        share: Devices of the worker.

    Yields:
        Rows of a batch, int64, shape (batch_size,); the last ones of an epoch may be shorter.
    """
    whole = order[: len(order) - len(order) % share.devices]
    for start in range(0, len(whole), batch_size * share.devices):
        step = whole[start : start + batch_size * share.devices]
        for device in range(share.first, share.first + share.count):
            yield step[device :: share.devices]


def distribute_dataset(make: Callable[[DeviceShare], Any], strategy: Any) -> Any:
    """Distribute the batches of an epoch to the devices.

    Args:
        make: Function of a share to a `tf.data.Dataset` of its batches, its devices in turn.
        strategy: Strategy of the model.
    """
    devices = replicas(strategy)
    if devices == 1:
        return make(DeviceShare())

    def of_worker(context: Any) -> Any:
        count = devices // context.num_input_pipelines
        return make(DeviceShare(context.input_pipeline_id * count, count, devices))

    return strategy.distribute_datasets_from_function(of_worker)


def predictor(model: Any, names: Sequence[str]) -> Callable[[Array], Array]:
    """Make a function that runs inference with a model, on this worker alone.

    Args:
        model: tf-keras model.
        names: Names of several outputs; empty for a single one.

    Returns:
        Function of inputs (n, ...) to answers (n, ...), both float32; for several inputs or outputs
        shape (n,), a field for each.
    """
    strategy = model.distribute_strategy
    if replicas(strategy) == 1:
        return lambda batch: from_keras_outputs(
            model.predict_on_batch(to_keras_inputs(batch)), names
        )

    def ask(x: Any) -> Any:
        return model(x, training=False)

    def ask_each(x: Any) -> Any:
        return strategy.run(ask, args=(x,))

    graph = tf.function(ask_each, autograph=False, reduce_retracing=True)

    def of_first(answers: Any) -> Any:
        return strategy.experimental_local_results(answers)[0]

    def predict(batch: Array) -> Array:
        inputs = to_keras_inputs(batch)
        tensors = (
            [tf.constant(array) for array in inputs] if batch.dtype.names else tf.constant(inputs)
        )
        answers = graph(tensors)
        return from_keras_outputs(
            [of_first(array) for array in answers] if names else of_first(answers), names
        )

    return predict


def worker_position(strategy: Any) -> tuple[int, int]:
    """Number of this worker, from 0, and number of all workers."""
    resolver = getattr(strategy, "cluster_resolver", None)
    if resolver is None or not resolver.cluster_spec().as_dict():
        return 0, 1
    spec = resolver.cluster_spec().as_dict()
    leads = len(spec.get("chief", ()))
    number = resolver.task_id + (leads if resolver.task_type == "worker" else 0)
    return number, leads + len(spec.get("worker", ()))


def sum_over_workers(values: Sequence[float], strategy: Any) -> list[float]:
    """Sum of each number over all workers, which all have to call this function together."""
    if worker_position(strategy)[1] == 1:
        return list(values)
    devices = replicas(strategy) // worker_position(strategy)[1]
    part = tf.constant(np.asarray(values, np.float64) / devices)
    of_devices = strategy.experimental_distribute_values_from_function(lambda _: part)
    total = strategy.reduce("SUM", of_devices, axis=None)
    return [float(value) for value in np.asarray(total)]


class Agree(tf_keras.callbacks.Callback):  # type: ignore[misc]
    """Give every device the same weights before the first batch and after each epoch."""

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        """Average the weights, as machines may have computed a last bit differently.

        Raises:
            ConversionError: The workers have models of different shapes.
        """
        strategy = self.model.distribute_strategy
        workers = worker_position(strategy)[1]
        weights = self.model.get_weights()
        places = [float(position * w.size) for position, w in enumerate(weights, start=1)]
        mine = [float(len(weights)), sum(places)]
        if sum_over_workers(mine, strategy) != [workers * value for value in mine]:
            raise ConversionError(
                "the workers have models of different shapes",
                "Give all the same model, data, recipe and seed, and versions of kedge.",
            )
        self.model.set_weights([_mean(w, strategy, workers) for w in weights])

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Average the variables of each device, such as moving averages, by reading them."""
        self.model.set_weights(self.model.get_weights())


def _mean(weights: npt.NDArray[Any], strategy: Any, workers: int) -> npt.NDArray[Any]:
    if workers == 1 or not np.issubdtype(weights.dtype, np.floating):
        return weights
    total = np.asarray(sum_over_workers(weights.ravel().tolist(), strategy))
    return (total / workers).reshape(weights.shape).astype(weights.dtype)


def agreement(model: Any) -> list[Any]:
    """Callbacks that keep the weights of several devices equal; none for one device."""
    return [Agree()] if replicas(model.distribute_strategy) > 1 else []


def meet(strategy: Any) -> None:
    """Wait until every worker has reached this call."""
    sum_over_workers([0.0], strategy)
