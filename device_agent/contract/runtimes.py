"""The runtimes that an agent can drive, by name."""

from __future__ import annotations

#: Distribution name of each runtime to the module that holds its interpreter or session.
RUNTIME_MODULES = {
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "tflite-runtime": "tflite_runtime.interpreter",
    "tensorflow": "tensorflow.lite.python.interpreter",
    "onnxruntime": "onnxruntime.capi.onnxruntime_inference_collection",
}

#: Runtime of NVIDIA's GPUs: a program of the board (`trtexec`), and no module of its Python.
TENSORRT = "tensorrt"

#: Format of the model files that each runtime runs.
RUNTIME_FORMATS = {
    "ai-edge-litert": "tflite",
    "tflite-runtime": "tflite",
    "tensorflow": "tflite",
    "onnxruntime": "onnx",
    TENSORRT: "onnx",
}

#: In front of the name of a runtime that the board's own Python has: a vendor may have built it
#: otherwise than the wheel of the same name and version.
BOARD_PREFIX = "board:"

#: End of the name of an execution provider of ONNX Runtime, such as `CUDAExecutionProvider`: a
#: `delegate` that ends so is no library.
PROVIDER_SUFFIX = "ExecutionProvider"

#: Environment in which ONNX Runtime reports nothing to its maker. Wheels of 1.32.0 for Linux do so
#: by default, and keep an identifier of the computer in `~/.cache/Microsoft`.
NO_TELEMETRY = {"ORT_DISABLE_TELEMETRY": "1"}


def distribution_of(runtime: str) -> str:
    """The distribution name of a runtime, brought there or the board's own."""
    return runtime[len(BOARD_PREFIX) :] if runtime.startswith(BOARD_PREFIX) else runtime
