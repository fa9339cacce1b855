"""Measures the error of each layer of a quantized file against the float file of the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from converters.errors import ConversionError
from converters.formats import FORMATS
from converters.layer_error import ErrorSums, LayerError
from converters.layer_output import LayerOutput, pair_outputs
from converters.model_file import ModelFile
from targets.progress import OnProgress
from toolkit.measure.layer_probe import LayerProbe, choose_samples, open_probe


@dataclass(frozen=True)
class LayerComparison:
    """Errors of the layers of a quantized file."""

    errors: tuple[LayerError, ...]
    """Layers, the one with the lowest signal to noise ratio first."""
    alone: tuple[LayerOutput, ...]
    """Outputs that have no counterpart in the float file."""
    samples: int
    """Number of samples."""
    origin: str
    """Samples that were taken, in words."""


def compare_with_float(
    model: ModelFile, reference: ModelFile, data: Path | None, on_progress: OnProgress
) -> LayerComparison:
    """Compare the layers of a quantized file with those of the float file of the same network.

    Args:
        model: Quantized file.
        reference: Float file of the same format.
        data: Data set, of which test samples are taken; None for the golden inputs beside `model`.
        on_progress: Called as the work goes on.

    Raises:
        ConversionError: The files are not of one network, this host cannot run them, or the data
            does not fit.
        HostDiskError: The disk is full.
    """
    _check_reference(model, reference)
    on_progress("prepare the layers", 0, 0)
    with open_probe(model) as probe, open_probe(reference) as exact:
        pairs = pair_outputs(probe.outputs, exact.outputs)
        if not pairs:
            raise ConversionError(
                f"{reference.path}: none of its layers has the name and the size of one of "
                f"{model.path}",
                "Give the float file of the network: kedge convert MODEL --recipe float32.",
            )
        samples = choose_samples(
            model, reference, data, probe.sample_bytes + exact.sample_bytes, on_progress
        )
        sums = {place: ErrorSums(probe.outputs[place].spec) for place in pairs}
        done = 0
        for inputs, floats in samples.batches:
            on_progress("compare layers", done, samples.count)
            values, expected = probe.run(inputs), exact.run(floats)
            for place, other in pairs.items():
                sums[place].add(values[place], expected[other])
            done += len(values[0])
        errors = _errors(probe, exact, pairs, sums)
        alone = tuple(o for place, o in enumerate(probe.outputs) if place not in pairs)
    return LayerComparison(errors, alone, done, samples.origin)


def worst_source_db(output: LayerOutput, ratios: dict[int, float]) -> float | None:
    """Return the lowest ratio of the outputs that a layer reads, in decibels; None for none.

    Args:
        output: Output of the layer.
        ratios: Position of each compared output to its ratio in decibels.
    """
    return min((ratios[i] for i in output.sources if i in ratios), default=None)


def _errors(
    probe: LayerProbe, exact: LayerProbe, pairs: dict[int, int], sums: dict[int, ErrorSums]
) -> tuple[LayerError, ...]:
    ratios = {place: each.sqnr_db for place, each in sums.items()}
    errors = []
    for place, other in pairs.items():
        output = probe.outputs[place]
        source = exact.outputs[other]
        named = replace(output, layers=tuple(dict.fromkeys((*source.layers, *output.layers))))
        errors.append(sums[place].error(named, worst_source_db(output, ratios)))
    return tuple(sorted(errors, key=lambda error: error.sqnr_db))


def _check_reference(model: ModelFile, reference: ModelFile) -> None:
    if model.format != reference.format:
        raise ConversionError(
            f"{reference.path}: is of the format {reference.format}, and {model.path} of "
            f"{model.format}: their layers have other names and orders of axes",
            f"Give a float .{model.format}: kedge convert MODEL --recipe float32 --format "
            f"{model.format}.",
        )
    if not _computes_floats(FORMATS[reference.format].layer_outputs(reference.path)):
        raise ConversionError(
            f"{reference.path}: does not compute with floats, expected the float file of the "
            "network",
            "Give it as: kedge inspect QUANTIZED --against FLOAT. kedge convert MODEL --recipe "
            "float32 writes one.",
        )


def _computes_floats(outputs: Sequence[LayerOutput]) -> bool:
    return bool(outputs) and all(output.spec.dtype == "float32" for output in outputs)
