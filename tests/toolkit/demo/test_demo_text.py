"""What `kedge demo` says at its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from toolkit.cli.demo import command
from toolkit.demo import demo
from toolkit.demo.demo import DemoOutcome, DemoRow


def row(recipe: str, microseconds: float) -> DemoRow:
    conversion: dict[str, Any] = {
        "accuracy": {"correct": 98, "samples": 100},
        "model_bytes": 25_000,
    }
    measurement = {
        "place": "this computer",
        "invoke_median_us": microseconds,
        "verdict": "VALID",
        "parity": {"verdict": "EQUAL"},
        "placement": {"text": "XNNPACK 9 of 9 ops"},
    }
    return DemoRow(recipe, conversion, measurement)


@pytest.mark.parametrize("over_ssh", [True, False])
def test_the_end_speaks_of_a_server_only_where_one_was(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, over_ssh: bool
) -> None:
    rows = (row("float32", 6.0), row("qat_w8a8", 2.0))
    monkeypatch.setattr(demo, "run_demo", lambda *_: DemoOutcome(rows, 0.12, over_ssh))

    result = CliRunner().invoke(command, ["--dir", str(tmp_path)], env={"COLUMNS": "80"})

    assert result.exit_code == 0, result.output
    assert ("SSH server has ended" in result.output) is over_ssh
    for word in ("VALID", "EQUAL", "XNNPACK 9 of 9 ops", "ptq_w8a8 lost 12.00 %"):
        assert word in result.output
