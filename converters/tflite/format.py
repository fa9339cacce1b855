"""The format .tflite, as `converters.formats.FORMATS` lists it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from converters.model_file import Format
from converters.tflite.contract import (
    foreign_ops,
    lowest_runtimes,
    minimum_runtime,
    refusals,
    tflite_faults,
    tflite_form_refusals,
)
from converters.tflite.cost import cost_of
from converters.tflite.edgetpu.placement import predict_placement
from converters.tflite.inspection import tflite_figures
from converters.tflite.isolated import run_isolated
from converters.tflite.kernel_figures import kernel_figures
from converters.tflite.layer_outputs import tflite_layer_outputs, tflite_with_layer_outputs
from converters.tflite.layers import operator_works
from converters.tflite.reader import read_model
from converters.tflite.stored_tensors import stored_tensors
from device_agent.contract.state import RESET

Array = npt.NDArray[Any]


def _host_runtime() -> tuple[str, str]:
    from converters.tflite.run import host_runtime  # imports the runtime: only who runs a file

    return host_runtime()


def _run_here(
    path: Path,
    inputs: Mapping[str, Array],
    on_progress: Callable[[int, int], None] | None = None,
    most_s: float | None = None,
    reset: str = RESET,
) -> dict[str, Array]:
    from converters.tflite.run import run_model  # imports the runtime: only who runs a file

    return run_model(path, inputs, on_progress=on_progress, most_s=most_s, reset=reset)


TFLITE = Format(
    title="TFLite",
    read=read_model,
    minimum_runtime=minimum_runtime,
    lowest_runtimes=lowest_runtimes,
    refusals=refusals,
    form_refusals=tflite_form_refusals,
    faults=tflite_faults,
    foreign_ops=foreign_ops,
    run=run_isolated,
    run_here=_run_here,
    operator_works=operator_works,
    cost=cost_of,
    host_runtime=_host_runtime,
    stored_tensors=stored_tensors,
    kernel_figures=kernel_figures,
    figures=tflite_figures,
    layer_outputs=tflite_layer_outputs,
    with_layer_outputs=tflite_with_layer_outputs,
    edgetpu_placement=predict_placement,
)
