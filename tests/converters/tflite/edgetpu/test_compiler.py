"""The compiler of the Edge TPU, as a stand-in that writes what the real one writes."""

import os
import stat
from pathlib import Path

import pytest

from converters.errors import ConversionError
from converters.tflite.edgetpu.compiler import (
    MAPPED,
    OperatorStatus,
    compile_model,
    is_installed,
    parse_report,
)
from tests.edgetpu_model import edgetpu_model
from tests.faults.afterwards import wait_until
from tests.tiny_model import relu_model

LOG = """Edge TPU Compiler version 16.0.384591198
Started a compilation timeout timer of 180 seconds.

Model compiled successfully in 1034 ms.

Input model: m.tflite
Input size: 743.07KiB
Output model: m_edgetpu.tflite
Output size: 1.06MiB
On-chip memory used for caching model parameters: 600.25KiB
On-chip memory remaining for caching model parameters: 6.74MiB
Off-chip memory used for streaming uncached model parameters: 0.00B
Number of Edge TPU subgraphs: 1
Total number of operations: 72
Operation log: m_edgetpu.log

Model successfully compiled but not all operations are supported by the Edge TPU. A percentage of the model will instead run on the CPU, which is slower.
Number of operations that will run on Edge TPU: 70
Number of operations that will run on CPU: 2

Operator                       Count      Status

ARG_MAX                        1          Operation is otherwise supported, but not mapped due to some unspecified limitation
CONV_2D                        69         Mapped to Edge TPU
CONV_2D                        1          More than one subgraph is not supported
L2_NORMALIZATION               1          Mapped to Edge TPU
Compilation child process completed within timeout period.
Compilation succeeded!
"""  # noqa: E501


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "bin" / "edgetpu_compiler"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")


def test_the_words_of_the_compiler_are_read() -> None:
    report = parse_report(LOG)
    assert (report.total, report.mapped, report.subgraphs) == (72, 70, 1)
    assert (report.cached_bytes, report.streamed_bytes) == (round(600.25 * 1024), 0)
    assert OperatorStatus("CONV_2D", 69, MAPPED) in report.operators
    assert OperatorStatus("CONV_2D", 1, "More than one subgraph is not supported") in (
        report.operators
    )
    assert sum(each.count for each in report.operators) == 72


def test_an_abort_is_tried_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log").write_text(LOG)
    (tmp_path / "result").write_bytes(edgetpu_model())
    script = f"""cd {tmp_path}; echo call >> calls
if [ $(wc -l < calls) = 1 ]; then echo "Internal compiler error. Aborting!"; exit 1; fi
cp result "$3/m_edgetpu.tflite"; cat log"""
    install(tmp_path, monkeypatch, script)
    model = tmp_path / "m.tflite"
    model.write_bytes(b"model")
    compiled, report = compile_model(model, tmp_path)
    assert compiled.read_bytes() == edgetpu_model()
    assert report.mapped == 70


def test_a_compiler_that_hangs_is_ended_with_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("converters.tflite.edgetpu.compiler._LONGEST_S", 0.5)
    install(tmp_path, monkeypatch, f"sleep 600 & echo $! > {tmp_path}/child; wait")
    with pytest.raises(ConversionError, match="no answer in 0.5 seconds"):
        compile_model(tmp_path / "m.tflite", tmp_path)
    child = Path("/proc") / (tmp_path / "child").read_text().strip() / "stat"
    # A signal that was sent takes its time on a busy computer.
    wait_until(lambda: has_ended(child))


def has_ended(state: Path) -> bool:
    try:
        return state.read_text().split()[2] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'Compilation succeeded!'", "refuses it: Compilation succeeded!"),
        ('echo rubbish > "$3/m_edgetpu.tflite"', "is not a .tflite"),
        ('cp "$4" "$3/m_edgetpu.tflite"', "without a part for the Edge TPU"),
        ("head -c 9000000 /dev/urandom; exit 1", "refuses it"),
        ("echo 'write failed: No space left on device'; exit 1", "No space left on device"),
    ],
)
def test_what_is_no_result_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    install(tmp_path, monkeypatch, script)
    (tmp_path / "m.tflite").write_bytes(relu_model())
    with pytest.raises(ConversionError, match=words) as refused:
        compile_model(tmp_path / "m.tflite", tmp_path)
    assert len(str(refused.value)) < 1000


def test_a_refusal_has_the_compilers_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "echo 'Invalid model: m.tflite'; exit 1")
    with pytest.raises(ConversionError, match="Invalid model: m.tflite") as refused:
        compile_model(tmp_path / "m.tflite", tmp_path)
    assert "kedge inspect" in refused.value.hint


def test_without_a_compiler_the_way_out_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not is_installed()
    with pytest.raises(ConversionError, match="edgetpu_compiler is not installed") as refused:
        compile_model(tmp_path / "m.tflite", tmp_path)
    assert "predicts" in refused.value.hint
