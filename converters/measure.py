"""What is measured of model files: requested in the child, measured by whoever converts."""

from __future__ import annotations

import json
import queue
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from converters.errors import ConversionError

#: Verdict on figures that can be trusted.
VALID = "VALID"
#: Name of the event by which the child requests a measurement.
MEASURE = "measure"


@dataclass(frozen=True)
class Figure:
    """A measured value and its uncertainty."""

    value: float
    """Value, such as the median of several fresh processes."""
    low: float
    """Lower bound of the interval that encloses the true value."""
    high: float
    """Upper bound of that interval."""

    def overlaps(self, other: Figure) -> bool:
        """Whether the intervals overlap, so that the true values may be equal."""
        return self.low <= other.high and other.low <= self.high


@dataclass(frozen=True)
class FileFigures:
    """Figures of one file."""

    latency_us: Figure
    """Time of one inference, microseconds."""
    memory_bytes: Figure
    """Peak resident memory of the process that runs the file."""
    energy_uj: Figure | None = None
    """Energy of one inference, microjoules: all that the board drew while it ran. None where the
    board has no sensor."""
    verdict: str = VALID
    """"VALID", or "UNSTABLE" or "INVALID" for figures that decide nothing."""
    reasons: tuple[str, ...] = ()
    """Reasons why the figures are not "VALID", one sentence each."""

    @property
    def is_trusted(self) -> bool:
        """Whether the figures may decide something."""
        return self.verdict == VALID


@dataclass(frozen=True)
class FileRefusal:
    """Why one file could not be measured; the others were."""

    reason: str
    """Reason, one sentence."""
    hint: str
    """Next step for the user, one sentence."""
    exit_code: int = ConversionError.exit_code
    """Exit code of a command that cannot do without the figures of this file."""


#: Measures files in turn, so that drift hits all of them alike: figures or a refusal for each, in
#: the order of the files. An error that it raises (one with `hint` and `exit_code`) concerns all.
Measure = Callable[[Sequence[Path]], Sequence[FileFigures | FileRefusal]]


def latencies_us(measure: Measure, paths: Sequence[Path]) -> list[float]:
    """Measure files of which all are needed.

    Args:
        measure: Measures files.
        paths: The files.

    Returns:
        Latency of each file, microseconds.

    Raises:
        ConversionError: A file was refused, with the hint and the exit code of the refusal, or
            nothing could be measured.
    """
    latencies = []
    for answer in measure(paths):
        if isinstance(answer, FileRefusal):
            raise _no_latency(answer)
        latencies.append(answer.latency_us.value)
    return latencies


def answer_measure(event: dict[str, Any], measure: Measure | None) -> str:
    """In the parent: measure the files that the child names.

    Args:
        event: The child's request.
        measure: Measures files. What it raises with an `exit_code` is the child's to handle.

    Returns:
        The answer for the child: one line of JSON.

    Raises:
        ValueError: The child requested a measurement though nobody measures: a bug.
    """
    if measure is None:
        raise ValueError("the child requested a measurement though it knows that nobody measures")
    try:
        answers = measure([Path(path) for path in event["paths"]])
    except Exception as error:
        if not hasattr(error, "exit_code"):
            raise
        refusal = FileRefusal(str(error), getattr(error, "hint", ""), error.exit_code)
        return json.dumps({"error": asdict(refusal)}) + "\n"
    return json.dumps({"files": [asdict(answer) for answer in answers]}) + "\n"


def measure_in_parent(
    send: Callable[[dict[str, Any]], None], answers: queue.SimpleQueue[dict[str, Any]]
) -> Measure:
    """In the child: return what lets the parent measure files.

    Args:
        send: Sends an event to the parent.
        answers: Answers of the parent, one object for each event.

    Returns:
        A `Measure`, which raises ConversionError where the parent could measure nothing.
    """

    def measure(paths: Sequence[Path]) -> list[FileFigures | FileRefusal]:
        send({"event": MEASURE, "paths": [str(path) for path in paths]})
        answer = answers.get()
        if "error" in answer:
            raise _no_latency(FileRefusal(**answer["error"]))
        return [_from_plain(plain) for plain in answer["files"]]

    return measure


def _from_plain(plain: dict[str, Any]) -> FileFigures | FileRefusal:
    return FileRefusal(**plain) if "reason" in plain else figures_from_plain(plain)


def figures_from_plain(plain: Mapping[str, Any]) -> FileFigures:
    """Return the figures whose `dataclasses.asdict` is `plain`.

    Raises:
        KeyError: A field is missing.
        TypeError: A field has another form.
    """
    energy = plain["energy_uj"]
    return FileFigures(
        Figure(**plain["latency_us"]),
        Figure(**plain["memory_bytes"]),
        None if energy is None else Figure(**energy),
        str(plain["verdict"]),
        tuple(plain["reasons"]),
    )


def _no_latency(refusal: FileRefusal) -> ConversionError:
    error = ConversionError(f"no latency: {refusal.reason}", refusal.hint)
    error.exit_code = refusal.exit_code
    return error
