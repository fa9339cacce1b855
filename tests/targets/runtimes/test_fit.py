"""Which runtime each operating system gets, and what is said where there is none."""

import pytest

from device_agent.contract.facts import Facts, facts_from_json
from targets.runtimes.choice import choose_runtime
from targets.runtimes.no_runtime import NoRuntimeError
from targets.runtimes.release import Wheel

LITERT, TFLITE = "ai-edge-litert", "tflite-runtime"


def board(machine: str, python: str, glibc: str, glibcxx: str, numpy: str | None = None) -> Facts:
    return facts_from_json(
        {
            "machine": machine,
            "python": python,
            "libc": f"glibc {glibc}" if glibc else "",
            "glibcxx": glibcxx,
            "installed": {"numpy": numpy, "ai_edge_litert": None, "tflite_runtime": None},
        }
    )


SYSTEMS = [
    # (name, Python, glibc, GLIBCXX, runtime on aarch64, runtime on armv7l with the system's numpy)
    ("mendel-day-buster", "3.7.3", "2.28", "3.4.25", (TFLITE, "2.11.0"), (TFLITE, "2.11.0")),
    ("jetpack4-python38", "3.8.0", "2.27", "3.4.25", (TFLITE, "2.13.0"), (TFLITE, "2.13.0")),
    ("ubuntu20-jetpack5", "3.8.10", "2.31", "3.4.28", (TFLITE, "2.13.0"), (TFLITE, "2.13.0")),
    ("bullseye", "3.9.2", "2.31", "3.4.28", (LITERT, "2.1.0"), (TFLITE, "2.14.0")),
    ("ubuntu22-jetpack6", "3.10.12", "2.35", "3.4.30", (LITERT, "2.3.0"), (TFLITE, "2.14.0")),
    ("bookworm", "3.11.2", "2.36", "3.4.30", (LITERT, "2.3.0"), (TFLITE, "2.14.0")),
    ("ubuntu24", "3.12.3", "2.39", "3.4.33", (LITERT, "2.3.0"), None),
    ("trixie", "3.13.5", "2.41", "3.4.33", (LITERT, "2.3.0"), None),
    ("ubuntu26", "3.14.0", "2.42", "3.4.34", (LITERT, "2.3.0"), None),
]
NUMPY = {"3.7": "1.21.6", "3.8": "1.24.4", "3.13": "2.2.6", "3.14": "2.3.5"}


@pytest.mark.parametrize(("name", "python", "glibc", "glibcxx", "arm64", "arm32"), SYSTEMS)
def test_a_64_bit_system(
    name: str, python: str, glibc: str, glibcxx: str, arm64: tuple[str, str], arm32: object
) -> None:
    choice = choose_runtime(board("aarch64", python, glibc, glibcxx), "tflite")
    tag = "".join(python.split(".")[:2])
    numpy = NUMPY.get(python.rpartition(".")[0], "1.26.4")

    assert (choice.distribution, choice.version) == arm64
    assert choice.wheels == (
        Wheel(*arm64, tag, "aarch64"),
        Wheel("numpy", numpy, tag, "aarch64"),
    )


@pytest.mark.parametrize(("name", "python", "glibc", "glibcxx", "arm64", "arm32"), SYSTEMS)
def test_a_32_bit_system_uses_its_own_numpy(
    name: str, python: str, glibc: str, glibcxx: str, arm64: object, arm32: tuple[str, str] | None
) -> None:
    facts = board("armv7l", python, glibc, glibcxx, "1.19.5")
    if arm32 is None:
        with pytest.raises(
            NoRuntimeError, match=f"armv7l with Python {python}: no runtime exists"
        ) as refused:
            choose_runtime(facts, "tflite")
        assert "64-bit image" in refused.value.hint
        return

    choice = choose_runtime(facts, "tflite")
    assert (choice.distribution, choice.version) == arm32
    assert [wheel.distribution for wheel in choice.wheels] == [TFLITE]


@pytest.mark.parametrize(
    ("facts", "reason", "hint"),
    [
        (board("armv7l", "3.12.3", "2.39", "3.4.33"), "3.9 to 3.11 only", "64-bit image"),
        (board("armv7l", "3.11.2", "2.36", "3.4.30"), "needs the board's own numpy", "numpy 1"),
        (board("armv7l", "3.11.2", "2.36", "3.4.30", "2.1.0"), "version 1", "numpy 1"),
        (board("armv6l", "3.11.2", "2.36", "3.4.30", "1.24"), "no build for armv6l", "64-bit"),
        (board("aarch64", "3.11.2", "", ""), "the board has none", "musl"),
        (board("aarch64", "3.11.2", "2.26", "3.4.30"), "needs glibc 2.27", "newer glibc"),
        (board("aarch64", "3.13.1", "2.36", ""), "no libstdc++", "newer glibc"),
        (board("riscv64", "3.12.3", "2.39", "3.4.33"), "no build for riscv64", ""),
        (board("aarch64", "3.15.0", "2.42", "3.4.34"), "3.10 to 3.14 only", "Python 3.7 to 3.14"),
    ],
    ids=lambda value: value.machine if isinstance(value, Facts) else None,
)
def test_where_none_loads_the_reason_and_the_way_out_are_told(
    facts: Facts, reason: str, hint: str
) -> None:
    with pytest.raises(NoRuntimeError) as refused:
        choose_runtime(facts, "tflite")

    assert reason in str(refused.value)
    assert hint in refused.value.hint
    assert str(refused.value).count("\n") == 5  # one line for each runtime that there is
    assert refused.value.exit_code == 6


@pytest.mark.parametrize(
    ("glibc", "glibcxx", "expected"),
    [
        ("2.34", "3.4.30", (LITERT, "2.3.0")),
        ("2.34", "3.4.29", (TFLITE, "2.14.0")),
        ("2.33", "3.4.30", (TFLITE, "2.14.0")),
        ("2.27", "", (TFLITE, "2.14.0")),
    ],
)
def test_the_true_needs_decide_not_the_tags(
    glibc: str, glibcxx: str, expected: tuple[str, str]
) -> None:
    choice = choose_runtime(board("x86_64", "3.10.12", glibc, glibcxx), "tflite")

    assert (choice.distribution, choice.version) == expected


ONNX_SYSTEMS = [
    # (name, Python, glibc, GLIBCXX, onnxruntime on aarch64 and x86_64)
    ("mendel-day-buster", "3.7.3", "2.28", "3.4.25", "1.14.1"),
    ("centos7-python38", "3.8.0", "2.17", "3.4.19", "1.16.3"),
    ("ubuntu20-jetpack5", "3.8.10", "2.31", "3.4.28", "1.19.2"),
    ("bullseye", "3.9.2", "2.31", "3.4.28", "1.19.2"),
    ("ubuntu22-jetpack6", "3.10.12", "2.35", "3.4.30", "1.23.2"),
    ("ubuntu18-python311", "3.11.2", "2.27", "3.4.25", "1.28.0"),
    ("bookworm", "3.11.2", "2.36", "3.4.30", "1.32.0"),
    ("ubuntu24", "3.12.3", "2.39", "3.4.33", "1.32.0"),
    ("trixie", "3.13.5", "2.41", "3.4.33", "1.32.0"),
    ("ubuntu26", "3.14.0", "2.42", "3.4.34", "1.32.0"),
]


@pytest.mark.parametrize("machine", ["aarch64", "x86_64"])
@pytest.mark.parametrize(("name", "python", "glibc", "glibcxx", "version"), ONNX_SYSTEMS)
def test_a_system_for_onnx(
    machine: str, name: str, python: str, glibc: str, glibcxx: str, version: str
) -> None:
    choice = choose_runtime(board(machine, python, glibc, glibcxx), "onnx")
    tag = "".join(python.split(".")[:2])
    numpy = NUMPY.get(python.rpartition(".")[0], "1.26.4")

    assert (choice.format, choice.distribution, choice.version) == ("onnx", "onnxruntime", version)
    assert choice.wheels == (
        Wheel("onnxruntime", version, tag, machine),
        Wheel("numpy", numpy, tag, machine),
    )


def test_a_32_bit_board_has_no_onnx_runtime_and_is_told_what_to_do() -> None:
    with pytest.raises(NoRuntimeError, match="no ONNX runtime loads") as refused:
        choose_runtime(board("armv7l", "3.11.2", "2.36", "3.4.30", "1.24.4"), "onnx")

    assert "no build for armv7l" in str(refused.value)
    assert "64-bit" in refused.value.hint
    assert ".tflite" in refused.value.hint
    assert refused.value.exit_code == 6


@pytest.mark.parametrize(
    ("runtime", "model_format", "expected"),
    [
        ("tflite-runtime", "onnx", "onnxruntime 1.32.0"),
        ("onnxruntime 1.28.0", "onnx", "onnxruntime 1.28.0"),
        ("onnxruntime 1.28.0", "tflite", "ai-edge-litert 2.3.0"),
        ("board:onnxruntime", "tflite", "ai-edge-litert 2.3.0"),
    ],
)
def test_a_runtime_that_is_named_counts_for_its_own_format(
    runtime: str, model_format: str, expected: str
) -> None:
    facts = board("aarch64", "3.11.2", "2.36", "3.4.30")
    choice = choose_runtime(facts, model_format, runtime)
    assert f"{choice.distribution} {choice.version}" == expected
