"""Compares the layers of a file on a board with those on this host, so that a wrong one shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from converters.model_file import ModelFile
from device_agent.contract.measurement import KernelClass
from targets.inventory import Target
from targets.progress import OnProgress
from toolkit.judge.layer_parity import DifferenceSums, LayerDifference
from toolkit.measure.layer_errors import worst_source_db
from toolkit.measure.layer_probe import LayerProbe, choose_samples, open_probe
from toolkit.measure.outputs import host_class, most_output_bytes, require_equal_form
from toolkit.measure.ready import open_board, ready


@dataclass(frozen=True)
class BoardLayers:
    """Layers of a file on a board."""

    target: str
    """Name of the target."""
    host: KernelClass
    """Kernels of this host."""
    board: KernelClass
    """Kernels of the board."""
    differences: tuple[LayerDifference, ...]
    """Layers in the order of their work."""
    samples: int
    """Number of samples."""
    origin: str
    """Samples that were taken, in words."""


def compare_with_board(
    model: ModelFile, target: Target, data: Path | None, on_progress: OnProgress
) -> BoardLayers:
    """Compare the layers of a file on a board with those on this host, over the same inputs.

    The board gets a file whose outputs are those of all layers, so that a delegate has to give
    them.

    Args:
        model: File.
        target: Board.
        data: Data set, of which test samples are taken; None for the golden inputs beside `model`.
        on_progress: Called as the work goes on.

    Raises:
        ConversionError: This host cannot run the file, or the data does not fit.
        TargetError: The board cannot be reached, has no place, or loads no runtime.
        AgentError: The board cannot load or run the file.
    """
    on_progress("prepare the layers", 0, 0)
    with open_probe(model) as probe:
        samples = choose_samples(model, model, data, probe.sample_bytes, on_progress)
        with open_board(target, on_progress) as device:
            prepared = ready(device, [probe.model], None, on_progress)
            (staged,) = prepared.staged
            sums = [DifferenceSums(output.spec) for output in probe.outputs]
            done = 0
            for inputs, _ in samples.batches:
                on_progress("compare layers", done, samples.count)
                host = probe.run(inputs)
                names = [spec.name for spec in probe.model.outputs]
                on_host = dict(zip(names, host, strict=True))
                _, answers = device.jobs.infer(
                    staged,
                    inputs,
                    on_progress,
                    reset=model.reset,
                    most_bytes=most_output_bytes(on_host),
                )
                require_equal_form(on_host, answers, target.name)
                for each, of_board, of_host in zip(
                    sums, probe.in_order(answers), host, strict=True
                ):
                    each.add(of_board, of_host)
                done += len(host[0])
    return BoardLayers(
        target.name,
        host_class(model.format),
        prepared.kernel_class,
        _differences(probe, sums),
        done,
        samples.origin,
    )


def _differences(probe: LayerProbe, sums: list[DifferenceSums]) -> tuple[LayerDifference, ...]:
    ratios = {place: each.sqnr_db for place, each in enumerate(sums)}
    return tuple(
        each.difference(output, worst_source_db(output, ratios))
        for output, each in zip(probe.outputs, sums, strict=True)
    )
