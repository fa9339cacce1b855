"""A file that gives the outputs of all its layers, and real samples for it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from converters import durable
from converters.data.dataset import Samples
from converters.errors import ConversionError
from converters.formats import FORMATS, read_model_file
from converters.layer_output import LayerOutput
from converters.model_file import ModelFile
from converters.tensor_spec import TensorSpec, dequantize, quantize
from device_agent.contract.model_card import ModelCard
from device_agent.contract.tensors import sample_shape
from targets.progress import OnProgress
from toolkit.measure.feeds import feed_batches
from toolkit.measure.inputs import golden_beside
from toolkit.measure.labelled_data import open_labelled

#: Number of samples that show the error of a layer: each has thousands of values.
SAMPLES = 100
#: Largest size of the outputs of one batch, unless one sample is larger.
_MOST_BYTES = 64 << 20

Tensors = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class LayerProbe:
    """A file whose outputs are those of all layers of another file."""

    model: ModelFile
    """The file."""
    outputs: tuple[LayerOutput, ...]
    """Outputs of the layers, in the order of the outputs of the file."""

    @property
    def sample_bytes(self) -> int:
        """Size of the outputs of one sample."""
        return sum(each.values * np.dtype(each.spec.dtype).itemsize for each in self.outputs)

    def run(self, inputs: Tensors) -> list[np.ndarray[Any, Any]]:
        """Run the file on this host in a process of its own.

        Args:
            inputs: Name of each input to an array of shape (n, ...) of its type.

        Returns:
            Values of each output in their order, shape (n, ...), in the type of the output.

        Raises:
            ConversionError: The runtime of this host refuses the file or crashes on it.
        """
        run = FORMATS[self.model.format].run
        return self.in_order(run(self.model.path, inputs, reset=self.model.reset))

    def in_order(self, answers: Mapping[str, np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
        """Return the values of the outputs in the order of `outputs`.

        Args:
            answers: Name of each output to an array of shape (n, ...), in the type of the output.
        """
        return [answers[spec.name] for spec in self.model.outputs]


@dataclass(frozen=True)
class ProbeSamples:
    """Samples for the layers of a file."""

    origin: str
    """Samples that were taken, in words."""
    count: int
    """Number of samples."""
    batches: Iterator[tuple[Tensors, Tensors]]
    """Name of each input to an array of shape (n, ...): for the file, and for the reference."""


@contextmanager
def open_probe(model: ModelFile) -> Iterator[LayerProbe]:
    """Write the file that gives the outputs of all layers, for as long as the block runs.

    Args:
        model: File.

    Raises:
        ConversionError: It has no layers, is compiled, or is damaged.
        HostDiskError: The disk is full.
    """
    file_format = FORMATS[model.format]
    foreign = file_format.foreign_ops(model)
    if model.edgetpu or foreign:
        raise ConversionError(
            f"{model.path}: this host cannot compute {', '.join(foreign) or 'a compiled file'}, so "
            "its layers cannot be compared",
            "Compare the file that it was made from. kedge bench compares the outputs of this one.",
        )
    outputs = file_format.layer_outputs(model.path)
    if not outputs:
        raise ConversionError(
            f"{model.path}: no operator of it gives floats or quantized numbers",
            "Give a model with layers.",
        )
    with tempfile.TemporaryDirectory(prefix="kedge-") as folder:
        path = Path(folder) / f"layers.{model.format}"
        durable.write(path, file_format.with_layer_outputs(model.path))
        yield LayerProbe(read_model_file(path), outputs)


def choose_samples(
    model: ModelFile,
    reference: ModelFile,
    data: Path | None,
    sample_bytes: int,
    on_progress: OnProgress,
) -> ProbeSamples:
    """Choose samples for two files of one network.

    Args:
        model: File.
        reference: The other file; perhaps the same.
        data: Data set, of which test samples are taken; None for the golden inputs beside `model`.
        sample_bytes: Size of the outputs of one sample, which bounds a batch.
        on_progress: Called as the work goes on.

    Raises:
        ConversionError: The data cannot be read or does not fit, there is none, or the inputs of
            the files differ.
    """
    _check_inputs(model, reference)
    most = max(1, _MOST_BYTES // max(1, sample_bytes))
    if data is not None:
        labelled = open_labelled(model, data)
        samples = _spread(labelled.read(on_progress))
        batches = _data_batches(samples, labelled.card, model, reference, most)
        return ProbeSamples(f"test samples of {data}", len(samples), batches)
    golden = golden_beside(model)
    if golden is None:
        raise ConversionError(
            f"{model.path}: has no golden.npz of its conversion beside it",
            "Give samples with --data.",
        )
    total = len(next(iter(golden.inputs.values())))
    rows = np.linspace(0, total - 1, min(SAMPLES, total)).astype(int)
    inputs = {name: values[rows] for name, values in golden.inputs.items()}
    batches = _golden_batches(inputs, model, reference, most)
    return ProbeSamples("golden inputs of the conversion", len(rows), batches)


def _check_inputs(model: ModelFile, reference: ModelFile) -> None:
    sizes = [[_values(spec) for spec in each.inputs] for each in (model, reference)]
    if sizes[0] != sizes[1]:
        shapes = [[list(spec.shape) for spec in each.inputs] for each in (model, reference)]
        raise ConversionError(
            f"{reference.path}: takes {shapes[1]}, and {model.path} takes {shapes[0]}: they are not"
            " of one network",
            "Give the float file of the network: kedge convert MODEL --recipe float32.",
        )


def _values(spec: TensorSpec) -> int:
    return int(np.prod([max(1, size) for size in spec.shape]))


def _spread(samples: Samples) -> Samples:
    """Return at most `SAMPLES` samples, spread over all of them."""
    return samples.subset(np.linspace(0, len(samples) - 1, min(SAMPLES, len(samples))).astype(int))


def _data_batches(
    samples: Samples, card: ModelCard, model: ModelFile, reference: ModelFile, most: int
) -> Iterator[tuple[Tensors, Tensors]]:
    # The reference takes the inputs in the same order; it may have other names for them.
    specs = [
        replace(other, name=spec.name)
        for spec, other in zip(model.inputs, reference.inputs, strict=True)
    ]
    card = replace(card, streaming=False)
    for (_, inputs), (_, exact) in zip(
        feed_batches(samples, model.inputs, card, most),
        feed_batches(samples, specs, card, most),
        strict=True,
    ):
        yield inputs, _rename_inputs(exact, model.inputs, reference.inputs)


def _golden_batches(
    inputs: Tensors, model: ModelFile, reference: ModelFile, most: int
) -> Iterator[tuple[Tensors, Tensors]]:
    total = len(next(iter(inputs.values())))
    for begin in range(0, total, most):
        batch = {name: values[begin : begin + most] for name, values in inputs.items()}
        exact = {
            spec.name: quantize(dequantize(batch[spec.name], spec), other)
            for spec, other in zip(model.inputs, reference.inputs, strict=True)
        }
        yield batch, _rename_inputs(exact, model.inputs, reference.inputs)


def _rename_inputs(
    tensors: Tensors, specs: Sequence[TensorSpec], others: Sequence[TensorSpec]
) -> Tensors:
    return {
        other.name: tensors[spec.name].reshape(
            len(tensors[spec.name]), *sample_shape(max(1, size) for size in other.shape)
        )
        for spec, other in zip(specs, others, strict=True)
    }
