"""Facts as the host reads them: what is missing or odd counts as not reported."""

import json
from typing import Any

import pytest

from device_agent.board.facts import read_facts
from device_agent.contract.facts import Accelerator, BoardRuntime, CoreClass, Facts, facts_from_json


def test_the_facts_of_this_computer_are_read_whole() -> None:
    plain = read_facts()
    facts = facts_from_json(plain)

    for name in ("machine", "kernel", "python", "libc", "os", "cores", "memory_bytes", "sftp"):
        assert getattr(facts, name) == plain[name]
    assert [kind.part for kind in facts.core_classes] == [
        entry["part"] for entry in plain["core_classes"]
    ]
    assert facts.python_minor == int(plain["python"].split(".")[1])
    assert facts.plain == plain


def test_what_is_not_reported_has_a_value_that_says_so() -> None:
    facts = facts_from_json({})

    assert facts == Facts()
    assert (facts.machine, facts.cores, facts.emulated, facts.sftp) == ("", 0, False, None)
    assert facts.python_minor == 0


@pytest.mark.parametrize("odd", [None, 5, True, 2.5, "text", [], [5], [None], {}, {"a": 1}])
def test_an_odd_value_is_not_reported(odd: Any) -> None:
    facts = facts_from_json(dict.fromkeys(vars(Facts()), odd))

    for name, value in vars(Facts()).items():
        if name not in ("plain", "sftp"):
            assert type(getattr(facts, name)) is type(value)
    assert isinstance(facts.python_minor, int)
    assert all(isinstance(version, str) for version in facts.installed.values())


def test_entries_are_read_as_tolerantly() -> None:
    facts = facts_from_json(
        {
            "core_classes": [{"name": "Cortex-A76", "cores": [0, "1", 2], "newer": 1}, "odd"],
            "accelerators": [{"kind": "edgetpu-usb", "usable": True, "usb_mbits": "fast"}, {}],
            "board_runtimes": [{"name": "tflite-runtime", "version": 2}],
            "installed": {"numpy": "1.24.2", "tflite_runtime": None},
        }
    )

    assert facts.core_classes == (CoreClass(name="Cortex-A76", cores=(0, 2)),)
    assert facts.accelerators == (Accelerator(kind="edgetpu-usb", usable=True), Accelerator())
    assert facts.board_runtimes == (BoardRuntime(name="tflite-runtime"),)
    assert facts.installed == {"numpy": "1.24.2"}


def test_what_is_printed_and_stored_is_what_the_board_reported() -> None:
    text = '{"machine": "aarch64", "a_newer_fact": [1, {"b": null}]}'

    assert json.dumps(facts_from_json(json.loads(text)).plain) == text
