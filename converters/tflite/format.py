"""The format .tflite, as `converters.formats.FORMATS` lists it."""

from __future__ import annotations

from converters.model_file import Format
from converters.tflite.contract import foreign_ops, lowest_runtimes, minimum_runtime, refusals
from converters.tflite.isolated import run_isolated
from converters.tflite.kernel_figures import kernel_figures
from converters.tflite.layers import operator_works
from converters.tflite.reader import read_model
from converters.tflite.stored_tensors import stored_tensors


def _host_runtime() -> tuple[str, str]:
    from converters.tflite.run import host_runtime  # imports the runtime: only who runs a file

    return host_runtime()


TFLITE = Format(
    read=read_model,
    minimum_runtime=minimum_runtime,
    lowest_runtimes=lowest_runtimes,
    refusals=refusals,
    foreign_ops=foreign_ops,
    run=run_isolated,
    operator_works=operator_works,
    host_runtime=_host_runtime,
    stored_tensors=stored_tensors,
    kernel_figures=kernel_figures,
)
