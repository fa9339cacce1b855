"""The format .onnx, as `converters.formats.FORMATS` lists it."""

from __future__ import annotations

from functools import partial

from converters.isolated_run import run_in_process
from converters.model_file import Format
from converters.onnx.contract import (
    foreign_onnx_ops,
    known_faults,
    lowest_onnxruntimes,
    minimum_onnxruntime,
    onnx_refusals,
)
from converters.onnx.inspection import onnx_figures
from converters.onnx.layer_outputs import onnx_layer_outputs, onnx_with_layer_outputs
from converters.onnx.reader import read_onnx
from converters.onnx.run import run_onnx_model
from converters.onnx.runtime import onnxruntime_version
from converters.onnx.stored_tensors import stored_onnx_tensors
from converters.onnx.tensorrt import tensorrt_form_refusals
from converters.onnx.work import cost_of_onnx, count_onnx_works, onnx_kernel_figures

ONNX = Format(
    title="ONNX Runtime",
    read=read_onnx,
    minimum_runtime=minimum_onnxruntime,
    lowest_runtimes=lowest_onnxruntimes,
    refusals=onnx_refusals,
    form_refusals=tensorrt_form_refusals,
    faults=known_faults,
    foreign_ops=foreign_onnx_ops,
    run=partial(run_in_process, "converters.onnx.run:run_onnx_model"),
    run_here=run_onnx_model,
    operator_works=count_onnx_works,
    cost=cost_of_onnx,
    host_runtime=onnxruntime_version,
    stored_tensors=stored_onnx_tensors,
    kernel_figures=onnx_kernel_figures,
    figures=onnx_figures,
    layer_outputs=onnx_layer_outputs,
    with_layer_outputs=onnx_with_layer_outputs,
    edgetpu_placement=None,
)
