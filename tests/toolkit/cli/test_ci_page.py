"""The pipeline of docs/ci.md does what the page says: its commands are run here."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.toolkit.measurements import measurement
from toolkit.report.record import records_of_measurement
from toolkit.results.store import open_results

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "ci.md").read_text(encoding="utf-8")
SCRIPT, *PIPELINES = re.findall(r"^```(?:sh|yaml)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
#: Two results of a quiet board, of which the second is twice as slow.
FAST = [[100_000 + 7 * process + sample for sample in range(60)] for process in range(9)]
SLOW = [[2 * sample for sample in process] for process in FAST]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the script, a model, its data, and a `pi` that is this computer."""
    folder = tmp_path_factory.mktemp("ci")
    command = [sys.executable, "-m", "converters.digits_cnn", "--out", str(folder), "--epochs", "4"]
    subprocess.run(command, check=True, capture_output=True)
    (folder / "digits.keras").rename(folder / "model.keras")
    (folder / "digits.npz").rename(folder / "data.npz")
    (folder / "check_model.sh").write_text(SCRIPT)
    (folder / "kedge.toml").write_text(
        f'[targets.pi]\naddress = "local"\nroot = "{folder / "board"}"\n'
    )
    kedge = folder / "bin" / "kedge"
    kedge.parent.mkdir()
    kedge.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m toolkit.cli "$@"\n')
    kedge.chmod(0o755)
    with open_results(folder) as store:
        for samples in (FAST, SLOW):
            store.save(records_of_measurement(measurement(samples)))
    return folder


@pytest.mark.parametrize(("candidate", "code"), [("1", 0), ("2", 8)])
def test_the_pipeline_fails_when_the_model_is_slower(
    project: Path, candidate: str, code: int
) -> None:
    path = f"{project / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "check_model.sh"],
        cwd=project,
        env={**os.environ, "PATH": path, "BASELINE": "1", "CANDIDATE": candidate},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == code, done.stderr
    for name in ("convert.xml", "bench.xml", "compare.xml"):
        assert "<testsuite" in (project / name).read_text()
    assert ("<failure" in (project / "compare.xml").read_text()) == (code == 8)


def test_both_pipelines_run_the_script_and_keep_what_it_writes() -> None:
    assert len(PIPELINES) == 2
    for text in PIPELINES:
        assert yaml.safe_load(text)
        assert "sh check_model.sh" in text
        for name in re.findall(r"--junit (\S+)", SCRIPT):
            assert name in text
