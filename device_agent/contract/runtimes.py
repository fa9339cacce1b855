"""The TFLite runtimes that an agent can drive, by name."""

from __future__ import annotations

#: The runtimes an agent can drive: distribution name to the module that holds `Interpreter`.
RUNTIME_MODULES = {
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "tflite-runtime": "tflite_runtime.interpreter",
    "tensorflow": "tensorflow.lite.python.interpreter",
}

#: Format of the model files that each runtime runs.
RUNTIME_FORMATS = {name: "tflite" for name in RUNTIME_MODULES}

#: In front of the name of a runtime that the board's own Python has: a vendor may have built it
#: otherwise than the wheel of the same name and version.
BOARD_PREFIX = "board:"


def distribution_of(runtime: str) -> str:
    """The distribution name of a runtime, brought there or the board's own."""
    return runtime[len(BOARD_PREFIX) :] if runtime.startswith(BOARD_PREFIX) else runtime
