"""What a runtime's complaint about a model means, and what to do. Pure."""

from __future__ import annotations

import re
from typing import Tuple

#: Complaints of a runtime about a model, what they mean, and what to do. The texts
#: come from libedgetpu, TFLite and ONNX Runtime.
_MODEL_FAULTS = (
    (
        re.compile(r"Package requires runtime version \((\d+)\).*?runtime version \((\d+)\)", re.S),
        "the model was compiled for Edge TPU runtime {0}, the board has runtime {1}",
        "Compile it with --min_runtime_version {1}, or update libedgetpu on the board.",
    ),
    (
        re.compile(r"unresolved custom op: edgetpu-custom-op"),
        "the model was compiled for the Edge TPU, and no delegate takes its operator",
        'Write delegate = "edgetpu" for this target in kedge.toml, or use the model that it was '
        "compiled from.",
    ),
    (
        re.compile(r"unresolved custom op: ([^\s]+?)\.?(?:\s|$)"),
        "the runtime has no operator {0}, and no delegate takes it",
        "Which library of the board has it? Name it as `delegate` of this target in kedge.toml, "
        "or a `runtime` that has it, or build the model of TensorFlow Lite's own operators.",
    ),
    (
        re.compile(r"Unsupported model IR version: (\d+), max supported IR version: (\d+)"),
        "the file is of ONNX IR version {0}, this ONNX Runtime takes up to {1}",
        "Use a board with Python 3.11 or newer, which gets a newer release, or write the file with "
        "an older IR version: `kedge convert --format onnx` writes version 8.",
    ),
    (
        re.compile(r"Opset (\d+) is under development.*?till opset (\d+)", re.S),
        "the file is of opset {0}, this ONNX Runtime takes up to {1}",
        "Export the model with an older opset, or use a board with Python 3.11 or newer, which "
        "gets a newer release.",
    ),
    (
        re.compile(r"([\w.]+:\w+)\(-?\d+\) is not a registered function/op"),
        "the runtime has no operator {0}",
        "Export the model with standard operators of ONNX only, or name a `runtime` of the board "
        "that has the operator (board:onnxruntime) in kedge.toml.",
    ),
    (
        re.compile(r"Could not find an implementation for (\w+\(\d+\)) node"),
        "ONNX Runtime has no kernel on the CPU for {0} with the types of this model",
        "Export the model with float32 there.",
    ),
    (
        re.compile(r"INVALID_PROTOBUF|[Pp]rotobuf parsing failed"),
        "the file is no whole .onnx",
        "Write the file again.",
    ),
)


def explain_model(text: str) -> Tuple[str, str]:
    """Say what a runtime's complaint about a model means; both empty where it speaks for itself."""
    for pattern, what, hint in _MODEL_FAULTS:
        match = pattern.search(text)
        if match:
            return what.format(*match.groups()), hint.format(*match.groups())
    return "", ""
