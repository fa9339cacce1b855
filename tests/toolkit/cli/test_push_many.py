"""`kedge push` to several boards that fail: each with its reason and the next step."""

import json
from pathlib import Path

from tests.kedge import kedge
from tests.tiny_model import relu_model


def test_errors_of_boards_have_hint_help_and_exit_code(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(relu_model())
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "kedge.toml").write_text(
        f'[targets.one]\naddress = "local"\nroot = "{tmp_path}/file"\n'
        f'[targets.two]\naddress = "local"\nroot = "{tmp_path}/file/two"\n'
    )
    ran = kedge("push", "model.tflite", "--to", "one,two", "--json", cwd=tmp_path)
    entries = json.loads(ran.out)["targets"]
    assert [entry["name"] for entry in entries] == ["one", "two"]
    assert ran.code == entries[0]["exit_code"] != 0
    for entry in entries:
        assert entry["error"]
        assert entry["hint"].endswith(".")
        assert entry["help"].startswith("docs/troubleshooting.md#")
        assert f"→ {entry['hint']}"[:40] in ran.err
