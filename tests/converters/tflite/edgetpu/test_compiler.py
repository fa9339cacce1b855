"""The compiler of the Edge TPU, as a stand-in that writes what the real one writes."""

import os
import stat
import tracemalloc
from pathlib import Path

import pytest

from converters.errors import ConversionError, HostDiskError
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
        ("echo 'Compilation succeeded!'", "wrote no file m_edgetpu.tflite.*'Compilation succ"),
        ("true", "wrote no file m_edgetpu.tflite; its last line: nothing"),
        ("echo begun; kill -SEGV $$", r"died of signal 11 \(Segmentation fault\).*'begun'"),
        ("printf '\\033[2J\\007bad'; exit 1", r"refuses it .exit code 1.: '.x1b.2J.x07bad'"),
        ('echo rubbish > "$3/m_edgetpu.tflite"', "is not a .tflite"),
        ('cp "$4" "$3/m_edgetpu.tflite"', "without a part for the Edge TPU"),
        ("head -c 9000000 /dev/urandom; exit 1", "refuses it"),
        ("echo 'write failed: No space left on device'; exit 1", "ran out of room"),
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


@pytest.mark.parametrize("end", ["exit 1", "exit 0", "kill -BUS $$"])
def test_a_disk_that_fills_up_is_named_as_such(
    tmp_path: Path, tiny_disk: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    script = f'cat {tmp_path}/result /dev/zero 2>/dev/null > "$3/m_edgetpu.tflite"; {end}'
    (tmp_path / "result").write_bytes(edgetpu_model()[:100])
    install(tmp_path, monkeypatch, script)
    (tmp_path / "m.tflite").write_bytes(relu_model())
    with pytest.raises(HostDiskError, match="ran out of room: 0 bytes are free") as refused:
        compile_model(tmp_path / "m.tflite", tiny_disk)
    assert refused.value.exit_code == 6


def test_a_log_without_end_takes_neither_disk_nor_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "result").write_bytes(edgetpu_model())
    script = f'head -c 40000000 /dev/zero; cp {tmp_path}/result "$3/m_edgetpu.tflite"; echo; cat'
    install(tmp_path, monkeypatch, f"{script} {tmp_path}/log")
    (tmp_path / "log").write_text(LOG)
    (tmp_path / "m.tflite").write_bytes(relu_model())
    tracemalloc.start()
    _, report = compile_model(tmp_path / "m.tflite", tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert report.mapped == 70
    assert peak < 30e6


def test_a_log_of_an_unknown_form_costs_no_compiled_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "result").write_bytes(edgetpu_model())
    install(tmp_path, monkeypatch, f'cp {tmp_path}/result "$3/m_edgetpu.tflite"; echo Geschafft')
    (tmp_path / "m.tflite").write_bytes(relu_model())
    compiled, report = compile_model(tmp_path / "m.tflite", tmp_path)
    assert compiled.read_bytes() == edgetpu_model()
    assert not report.is_readable


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
