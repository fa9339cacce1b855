"""The whole arrow: model and data in, a measured int8 model on a board out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from converters.evidence.conversion import Conversion
from converters.formats import read_model_file
from converters.process import convert
from converters.request import ConversionRequest
from targets.inventory import Target
from targets.place import place_of
from targets.progress import OnProgress, no_progress
from targets.staged_file import StagedFile
from toolkit.admission import admit, admit_conversion
from toolkit.check import CONVERTED_FORMAT
from toolkit.measure.bench import BenchSettings, Measurement, bench_on
from toolkit.measure.host_latency import measure_on
from toolkit.measure.ready import open_board
from toolkit.progress import forward


@dataclass(frozen=True)
class Deployment:
    """A conversion, and the measurement of its file on the board."""

    conversion: Conversion
    measurement: Measurement


def deploy(
    request: ConversionRequest,
    target: Target,
    settings: BenchSettings | None = None,
    on_progress: OnProgress = no_progress,
) -> Deployment:
    """Convert a model, push it to a target, check its outputs there and time it.

    The board is tried first: a training of hours must not end at a wrong password.

    Args:
        request: Model, data, recipe and where the files go.
        target: The board.
        settings: How it is measured.
        on_progress: Called as the work goes on.

    Raises:
        ConversionError: The model or the data do not fit.
        TargetError: The board cannot be reached, has no place, or loads no runtime.
        AgentError: The board cannot load or run the model.
        IntegrityError: Something arrived damaged.
    """
    with open_board(target, on_progress) as device:
        _ = device.runtime_for(
            CONVERTED_FORMAT
        )  # a board that loads none is refused before the work begins
        admit_conversion(target)
    request = replace(request, measured_on=place_of(target))
    conversion = convert(request, forward(on_progress), measure_on(target, on_progress))
    with open_board(target, on_progress) as device:
        measurement = bench_on(
            read_model_file(conversion.model), device, settings or BenchSettings(), on_progress
        )
    return Deployment(conversion, measurement)


def push(path: Path, target: Target, on_progress: OnProgress = no_progress) -> StagedFile:
    """Send a .tflite into the scratch area of a target; what is there is not sent again.

    Raises:
        ConversionError: The file is no whole .tflite, or the board's runtime cannot load it.
        TargetError: The board cannot be reached, or has no place.
        IntegrityError: It arrived damaged.
    """
    contents = read_model_file(path)
    with open_board(target, on_progress) as device:
        admit(contents, device)
        return device.push(path, on_progress)
