"""A step asks how long files take; whoever asked for the conversion measures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from converters import process
from converters.errors import ConversionError

#: Asks as the steps of a conversion do, and tells what it was answered.
CHILD = """
import json, queue, sys, threading
from pathlib import Path
from converters import __main__ as child
from converters.errors import ConversionError
from converters.measure import asking

answer = child._answers()
order = json.loads(sys.stdin.readline())
said = queue.SimpleQueue()
threading.Thread(
    target=child._follow_parent, args=(sys.stdin, Path(order["work"]), said), daemon=True
).start()
ask = asking(answer, said)
try:
    answer({"event": "done", "found": ask([Path("a"), Path("b")]) + ask([Path("c")])})
except ConversionError as error:
    answer(child._error(error))
"""


class BoardError(Exception):
    """As the toolkit has them."""

    exit_code = 6
    hint = "Plug it in."


@pytest.fixture
def ask(tmp_path):
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
            yield lambda measure: process._talk(
                child, {"work": str(tmp_path / "work")}, lambda _: None, measure
            )
        finally:
            process._end(child)


def test_files_are_measured_where_the_conversion_was_asked_for(ask):
    asked = []

    def measure(paths):
        asked.append(list(paths))
        return [10.5 * len(path.name) for path in paths]

    assert ask(measure) == {"event": "done", "found": [10.5, 10.5, 10.5]}
    assert asked == [[Path("a"), Path("b")], [Path("c")]]


def test_a_board_that_fails_is_an_error_of_the_conversion(ask):
    def measure(paths):
        raise BoardError("pi is off")

    answer = ask(measure)
    error = process._error_of(answer)
    assert isinstance(error, ConversionError)
    assert str(error) == "no latency: pi is off"
    assert (error.hint, error.exit_code) == ("Plug it in.", 6)


def test_a_bug_of_whoever_measures_is_theirs(ask):
    with pytest.raises(ZeroDivisionError):
        ask(lambda paths: [1 / 0])


def test_an_answer_is_one_line():
    line = process.answer_measure({"paths": ["a"]}, lambda paths: [1.0])
    assert json.loads(line) == {"latency_us": [1.0]}
    assert line.count("\n") == 1
