"""Every release of every runtime that kedge can bring to a board, in the order of preference."""

from __future__ import annotations

from targets.runtimes import litert, onnxruntime, tflite_runtime
from targets.runtimes.release import RuntimeRelease

#: Releases, the preferred one of each format first: ai-edge-litert wherever it loads (its int8
#: kernels are the faster ones), then the newest tflite-runtime.
RUNTIMES: tuple[RuntimeRelease, ...] = (
    *litert.RELEASES,
    *tflite_runtime.RELEASES,
    *onnxruntime.RELEASES,
)

#: Name of a format to how a person writes it.
FORMAT_TITLES = {"tflite": "TFLite", "onnx": "ONNX"}


def releases_for(model_format: str) -> tuple[RuntimeRelease, ...]:
    """Return the releases that run a format of model files, the preferred one first."""
    return tuple(release for release in RUNTIMES if release.format == model_format)
