"""Real samples for a board, and its answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from device_agent.contract.measurement import KernelClass
from device_agent.contract.model_card import ModelCard, card_to_plain
from device_agent.contract.state import RESET

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

#: The stages of a sample, in their order.
STAGES = ("preprocess", "quantize", "invoke", "postprocess")


@dataclass(frozen=True)
class SampleRequest:
    """Samples to run."""

    card: ModelCard
    """Meaning of the model's inputs and outputs."""
    samples: Sequence[Mapping[str, Array]]
    """Arrays of each sample by input name: a picture as uint8 `(height, width, 3)`, or an array of
    the input's shape: real values as float32, whole numbers in the type of an input that is not
    quantized."""
    keep_outputs: bool = False
    reset: str = RESET
    """Way to handle the state before each sample, of `device_agent.contract.state.WAYS`."""
    threads: int | None = None
    """Threads of the runtime; `None` for those of kedge.toml, else 1."""


@dataclass(frozen=True)
class SampleAnswer:
    """Answer of the board to one sample."""

    outputs: Mapping[str, Mapping[str, Any]]
    """Answers by output name, in the form of `device_agent.samples.postprocess.answer`."""
    times_us: Mapping[str, float]
    """Times by stage of `STAGES`."""


@dataclass(frozen=True)
class SampleRun:
    """Answers of a board to all samples."""

    kernel_class: KernelClass
    answers: tuple[SampleAnswer, ...]
    peak_rss_bytes: int
    """Peak resident memory of the process."""
    outputs: dict[str, Array] = field(default_factory=dict)
    """Real values by output name, `(samples, ...)`; empty unless they were to be kept."""


def run_arguments(
    request: SampleRequest, tensors: Sequence[Sequence[Mapping[str, str]]]
) -> dict[str, Any]:
    """Return the arguments of the operation `run`, for samples whose tensors were sent.

    Args:
        request: Samples, arrays of the shapes and types of `SampleRequest.samples`.
        tensors: Name, dtype and sha256 of every input of each sample, in the sample's order.
    """
    samples = [
        {
            "inputs": [
                {**tensor, "shape": list(values.shape)}
                for tensor, values in zip(entries, sample.values(), strict=True)
            ]
        }
        for sample, entries in zip(request.samples, tensors, strict=True)
    ]
    return {
        "card": card_to_plain(request.card),
        "samples": samples,
        "keep_outputs": request.keep_outputs,
        "reset": request.reset,
    }


def sample_run(answer: Mapping[str, Any], answers: bytes, contents: Sequence[bytes]) -> SampleRun:
    """Read the answer of a board.

    Args:
        answer: Result of the operation.
        answers: File of the answers.
        contents: Files of the outputs, in the order of the result.
    """
    return SampleRun(
        KernelClass(**answer["kernel_class"]),
        tuple(
            SampleAnswer(
                entry["outputs"], {stage: entry["times_ns"][stage] / 1e3 for stage in STAGES}
            )
            for entry in json.loads(answers)
        ),
        int(answer["peak_rss_bytes"]),
        tensors_of(answer["outputs"], contents),
    )


def tensors_of(entries: Sequence[Mapping[str, Any]], contents: Sequence[bytes]) -> dict[str, Array]:
    """Read tensors that came as files of little-endian values.

    Args:
        entries: Name, dtype and shape of each tensor.
        contents: Content of each file.

    Returns:
        Name of each tensor to an array of the dtype and shape that its entry states.
    """
    import numpy as np  # only who compares outputs needs it

    tensors = {}
    for entry, content in zip(entries, contents, strict=True):
        data = np.frombuffer(content, np.dtype(entry["dtype"]).newbyteorder("<"))
        tensors[str(entry["name"])] = data.reshape(entry["shape"]).astype(
            entry["dtype"], copy=False
        )
    return tensors
