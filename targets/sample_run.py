"""Real samples for a board, and its answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from device_agent.contract.measurement import KernelClass, kernel_class_from_json
from device_agent.contract.model_card import ModelCard, card_to_plain
from device_agent.contract.records import RecordError, parse_json, read_count, read_value
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


def sample_run(
    answer: Mapping[str, Any], answers: bytes, outputs: dict[str, Array], count: int
) -> SampleRun:
    """Read the answer of a board.

    Args:
        answer: Result of the operation.
        answers: File of the answers.
        outputs: Real values by output name, `(samples, ...)`; empty unless they were to be kept.
        count: Number of samples that were sent.

    Raises:
        RecordError: The answer has another form.
    """
    entries = read_value(list[Any], parse_json(answers), "answers")
    if len(entries) != count:
        raise RecordError(f"{count} samples were sent, {len(entries)} answers came")
    return SampleRun(
        kernel_class_from_json(answer.get("kernel_class")),
        tuple(map(_sample_answer, entries)),
        read_count(answer, "peak_rss_bytes", 1 << 62),
        outputs,
    )


def _sample_answer(plain: Any) -> SampleAnswer:
    entry = read_value(dict[str, Any], plain, "answer")
    outputs = read_value(dict[str, dict[str, Any]], entry.get("outputs"), "outputs")
    times = read_value(dict[str, int], entry.get("times_ns"), "times_ns")
    if set(times) != set(STAGES) or min(times.values()) < 0:
        raise RecordError(f"times_ns: expected {', '.join(STAGES)}")
    for name, output in outputs.items():
        _check_output(name, output)
    return SampleAnswer(outputs, {stage: times[stage] / 1e3 for stage in STAGES})


def _check_output(name: str, output: Mapping[str, Any]) -> None:
    """Refuse an answer that has none of the forms of `device_agent.samples.postprocess.answer`."""
    if "classes" in output:
        classes = [*read_value(list[list[Any]], output["classes"], name), output.get("best")]
        for entry in classes:
            if not isinstance(entry, list) or len(entry) != 2 or type(entry[0]) is not int:
                raise RecordError(f"{name}: expected the number of a class and its score")
            read_value(float | None, entry[1], name)
    elif "values" in output:
        read_value(list[float | None], output["values"], name)
    else:
        read_value(list[int], output.get("shape"), name)
        for figure in ("min", "max", "mean"):
            read_value(float | None, output.get(figure), name)
