"""A step asks how long files take; whoever asked for the conversion measures."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from converters import child as child_module
from converters.errors import ConversionError
from converters.measure import (
    Figure,
    FileFigures,
    FileRefusal,
    answer_measure,
    measure_in_parent,
)

#: Asks as the steps of a conversion do, and tells what it was answered.
CHILD = """
import json, queue, sys, threading
from pathlib import Path
from converters import __main__ as child
from converters.errors import ConversionError
from converters.measure import latencies_us, measure_in_parent

answer = child._answers()
order = json.loads(sys.stdin.readline())
said = queue.SimpleQueue()
threading.Thread(
    target=child._follow_parent, args=(sys.stdin, Path(order["work"]), said), daemon=True
).start()
measure = measure_in_parent(answer, said)
try:
    found = latencies_us(measure, [Path("a"), Path("b")]) + latencies_us(measure, [Path("c")])
    answer({"event": "done", "found": found})
except ConversionError as error:
    answer(child._error(error))
"""


def figures(latency_us: Any) -> Any:
    return FileFigures(
        Figure(latency_us, 0.9 * latency_us, 1.1 * latency_us), Figure(1e6, 1e6, 2e6)
    )


class BoardError(Exception):
    """As the toolkit has them."""

    exit_code = 6
    hint = "Plug it in."


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Any]:
    """A function that lets a child ask a callable; the child's last answer."""
    environment = dict(os.environ, PYTHONPATH=str(Path(__file__).parents[2]))
    with subprocess.Popen(
        [sys.executable, "-c", CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
        start_new_session=True,
    ) as child:
        try:
            yield lambda measure: child_module.talk(
                child, json.dumps({"work": str(tmp_path / "work")}), lambda _: None, measure
            )[0]
        finally:
            child_module.end_process(child)


def test_files_are_measured_where_the_conversion_was_asked_for(ask: Callable[..., Any]) -> None:
    asked = []

    def measure(paths: list[Path]) -> list[float] | None:
        asked.append(list(paths))
        return [figures(10.5 * len(path.name)) for path in paths]

    assert ask(measure) == {"event": "done", "found": [10.5, 10.5, 10.5]}
    assert asked == [[Path("a"), Path("b")], [Path("c")]]


def test_a_board_that_fails_is_an_error_of_the_conversion(ask: Callable[..., Any]) -> None:
    def measure(paths: list[Path]) -> None:
        raise BoardError("pi is off")

    answer = ask(measure)
    error = child_module.answer_error(answer)
    assert isinstance(error, ConversionError)
    assert str(error) == "no latency: pi is off"
    assert (error.hint, error.exit_code) == ("Plug it in.", 6)


def test_a_bug_of_whoever_measures_is_theirs(ask: Callable[..., Any]) -> None:
    with pytest.raises(ZeroDivisionError):
        ask(lambda paths: [1 / 0])


def test_a_file_that_is_needed_and_refused_is_an_error_of_the_conversion(ask: Any) -> None:
    answer = ask(lambda paths: [figures(1.0), FileRefusal("b: is no model", "Look at it.", 7)])
    error = child_module.answer_error(answer)
    assert str(error) == "no latency: b: is no model"
    assert (error.hint, error.exit_code) == ("Look at it.", 7)


def test_figures_and_refusals_arrive_as_they_were_sent() -> None:
    answers = [
        figures(1.0),
        FileRefusal("b: is no model", "Look at it."),
        replace(figures(2.0), energy_uj=Figure(5.0, 4.0, 6.0)),
    ]
    line = answer_measure({"paths": ["a", "b", "c"]}, lambda paths: answers)
    assert line.count("\n") == 1
    events, said = [], queue.SimpleQueue()
    said.put(json.loads(line))
    paths = [Path("a"), Path("b"), Path("c")]
    assert measure_in_parent(events.append, said)(paths) == answers
    assert events == [{"event": "measure", "paths": ["a", "b", "c"]}]
