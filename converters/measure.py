"""Latency of .tflite files: asked for here, measured by whoever asked for the conversion."""

from __future__ import annotations

import json
import queue
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from converters.errors import ConversionError

#: Median latency of each of some .tflite files, in microseconds, in their order; measured in turn,
#: so that drift hits all of them alike.
LatencyUs = Callable[[Sequence[Path]], list[float]]

MEASURE = "measure"


def answer_measure(event: dict[str, Any], latency_us: LatencyUs | None) -> str:
    """In the parent: measure what the child asks about; one line of JSON for it.

    An error that knows what the user should do next (`hint`, `exit_code`) is the child's to handle;
    anything else is a bug, and raised here.
    """
    if latency_us is None:
        raise ValueError("the child asked for a latency though it was told that nobody measures")
    try:
        found = latency_us([Path(path) for path in event["paths"]])
    except Exception as error:
        if not hasattr(error, "exit_code"):
            raise
        hint = getattr(error, "hint", "")
        return json.dumps({"error": str(error), "hint": hint, "exit_code": error.exit_code}) + "\n"
    return json.dumps({"latency_us": found}) + "\n"


def asking(
    ask: Callable[[dict[str, Any]], None], answers: queue.SimpleQueue[dict[str, Any]]
) -> LatencyUs:
    """In the child: what asks the parent.

    Args:
        ask: Sends an event to the parent.
        answers: What the parent sends, one object for each event.
    """

    def latency_us(paths: Sequence[Path]) -> list[float]:
        ask({"event": MEASURE, "paths": [str(path) for path in paths]})
        answer = answers.get()
        if "error" in answer:
            error = ConversionError(f"no latency: {answer['error']}", answer["hint"])
            error.exit_code = answer["exit_code"]
            raise error
        return [float(value) for value in answer["latency_us"]]

    return latency_us
