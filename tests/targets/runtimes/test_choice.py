"""Which runtime is used where several load, where the user names one, or where none loads."""

from dataclasses import replace
from typing import Any

import pytest

from device_agent.contract.facts import Facts, facts_from_json
from targets.runtimes.choice import choose_runtime, usable_runtimes
from targets.runtimes.no_runtime import NoRuntimeError
from tests.targets.runtimes.test_fit import board

BOOKWORM = board("aarch64", "3.11.2", "2.36", "3.4.30", "1.24.2")
#: armv7l with Python 3.13: no wheel exists for it.
TRIXIE_32 = board("armv7l", "3.13.5", "2.41", "3.4.33", "2.2.4")


def with_own(facts: Facts, name: str, version: str, numpy: str) -> Facts:
    own = {"name": name, "version": version, "path": "/usr/lib/python3/dist-packages/x"}
    return facts_from_json(
        {
            **facts.plain,
            "board_runtimes": [own],
            "installed": {"numpy": numpy},
            "python_executable": "/usr/bin/python3",
        }
    )


def names(found: list[Any]) -> list[str]:
    return [f"{one.distribution} {one.version}" for one in found]


def test_all_that_load_are_told_the_preferred_first() -> None:
    facts = with_own(BOOKWORM, "tflite-runtime", "2.9.1", "1.24.2")

    assert names(usable_runtimes(facts, "tflite")) == [
        "ai-edge-litert 2.3.0",
        "tflite-runtime 2.14.0",
        "board:tflite-runtime 2.9.1",
    ]


def test_a_wheel_is_preferred_to_what_the_board_has() -> None:
    chosen = choose_runtime(with_own(BOOKWORM, "tflite-runtime", "2.9.1", "1.24.2"), "tflite")

    assert chosen.distribution == "ai-edge-litert"


def test_what_the_board_has_is_used_where_no_wheel_loads() -> None:
    chosen = choose_runtime(with_own(TRIXIE_32, "ai-edge-litert", "2.2.0", "2.2.4"), "tflite")

    assert (chosen.distribution, chosen.version) == ("board:ai-edge-litert", "2.2.0")
    assert chosen.wheels == ()


def test_a_tflite_runtime_beside_numpy_2_is_not_taken_for_a_way_out() -> None:
    with pytest.raises(NoRuntimeError):
        choose_runtime(with_own(TRIXIE_32, "tflite-runtime", "2.14.0", "2.2.4"), "tflite")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("tflite-runtime", "tflite-runtime 2.14.0"),
        ("tflite-runtime 2.14.0", "tflite-runtime 2.14.0"),
        ("ai-edge-litert 2.1.0", "ai-edge-litert 2.1.0"),
        ("board:tflite-runtime", "board:tflite-runtime 2.9.1"),
    ],
)
def test_what_the_user_names_is_used(wanted: str, expected: str) -> None:
    facts = with_own(BOOKWORM, "tflite-runtime", "2.9.1", "1.24.2")

    assert names([choose_runtime(facts, "tflite", wanted)]) == [expected]


@pytest.mark.parametrize(
    ("facts", "wanted", "said", "hint"),
    [
        (BOOKWORM, "tflite-runtime 2.11.0", "3.7 to 3.9 only", "ai-edge-litert 2.3.0"),
        (BOOKWORM, "tflite-runtime 9.9", "no such release", "ai-edge-litert 2.3.0"),
        (BOOKWORM, "tensorflow", "no such release", "ai-edge-litert 2.3.0"),
        (BOOKWORM, "board:tensorflow", "has no tensorflow of its own", "`python` of this target"),
        (
            with_own(TRIXIE_32, "tflite-runtime", "2.14.0", "2.2.4"),
            "board:tflite-runtime",
            "needs numpy 1, its Python has numpy 2.2.4",
            "/usr/bin/python3 -m pip install 'numpy<2'",
        ),
    ],
)
def test_what_cannot_be_used_is_told_with_what_can(
    facts: Facts, wanted: str, said: str, hint: str
) -> None:
    with pytest.raises(NoRuntimeError) as refused:
        choose_runtime(replace(facts, python_executable="/usr/bin/python3"), "tflite", wanted)

    assert said in str(refused.value)
    assert hint in refused.value.hint


def test_an_own_release_that_would_die_there_is_refused() -> None:
    """onnxruntime 1.21.0 dies of SIGILL on a Cortex-A72 (onnxruntime issues 23957 and 24112)."""
    old = with_own(BOOKWORM, "onnxruntime", "1.21.0", "1.24.2")
    pi4 = facts_from_json({**old.plain, "cpu_features": ["fp", "asimd"]})
    pi5 = facts_from_json({**old.plain, "cpu_features": ["fp", "asimd", "asimddp"]})

    with pytest.raises(NoRuntimeError, match="would die of SIGILL") as refused:
        choose_runtime(pi4, "onnx", "board:onnxruntime")
    assert "onnxruntime 1.32.0" in refused.value.hint
    assert names(usable_runtimes(pi4, "onnx")) == ["onnxruntime 1.32.0"]
    assert choose_runtime(pi5, "onnx", "board:onnxruntime").version == "1.21.0"


def test_tensorrt_is_taken_where_it_is_named_alone() -> None:
    facts = with_own(BOOKWORM, "tensorrt", "10.3.0", "1.24.2")
    assert choose_runtime(facts, "onnx").distribution != "board:tensorrt"
    choice = choose_runtime(facts, "onnx", "board:tensorrt")
    assert (choice.distribution, choice.version, choice.wheels) == ("board:tensorrt", "10.3.0", ())
    assert choose_runtime(facts, "tflite", "board:tensorrt").format == "tflite"
    assert "board:tensorrt" in {each.distribution for each in usable_runtimes(facts, "onnx")}


def test_tensorrt_gets_a_numpy_where_the_board_has_none() -> None:
    choice = choose_runtime(with_own(BOOKWORM, "tensorrt", "10.3.0", ""), "onnx", "board:tensorrt")
    assert [wheel.distribution for wheel in choice.wheels] == ["numpy"]


def test_a_board_without_trtexec_says_what_to_install() -> None:
    with pytest.raises(NoRuntimeError, match="no trtexec") as refused:
        choose_runtime(
            with_own(BOOKWORM, "tensorflow", "2.14.0", "1.24.2"), "onnx", "board:tensorrt"
        )
    assert "apt-get install tensorrt" in refused.value.hint
