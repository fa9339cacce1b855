"""Models that bring code or reach for other files are refused, and nothing of them runs."""

from __future__ import annotations

import json
from pathlib import Path

from tests.converters.conftest import run_program


def test_no_hostile_model_runs_code_or_opens_a_file(tmp_path: Path) -> None:
    report = json.loads(run_program("hostile_files", tmp_path).splitlines()[-1])
    assert len(report["codes"]) > 90
    assert {name: code for name, code in report["codes"].items() if code != 4} == {}
    assert report["events"] == []
    assert not report["ran"]
