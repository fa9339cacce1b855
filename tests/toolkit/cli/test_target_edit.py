"""Changing kedge.toml by command keeps what a person wrote there."""

from pathlib import Path

import pytest

from tests.kedge import assert_refused, kedge
from tests.tiny_model import relu_model

PROJECT = """# the drawer
[targets.pi]
address = "local"  # for now
root = "/tmp/somewhere"
labels = {room = "lab"}

[targets.other]
address = "local"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "kedge.toml").write_text(PROJECT)
    return tmp_path


def targets(project: Path) -> list[dict[str, object]]:
    entries: list[dict[str, object]] = kedge("target", "list", "--json", cwd=project).json[
        "targets"
    ]
    return entries


def test_a_renamed_target_keeps_its_entry_its_place_and_the_comments(project: Path) -> None:
    assert kedge("target", "rename", "pi", "kitchen", cwd=project).code == 0
    assert [entry["name"] for entry in targets(project)] == ["kitchen", "other"]
    assert targets(project)[0]["labels"] == {"room": "lab"}
    text = (project / "kedge.toml").read_text()
    assert "# the drawer" in text
    assert "# for now" in text


@pytest.mark.parametrize(
    ("arguments", "word"),
    [(["pi", "other"], "already"), (["gone", "x"], "gone"), (["pi", "a b"], "not a name")],
)
def test_a_rename_that_cannot_be_leaves_the_file(
    arguments: list[str], word: str, project: Path
) -> None:
    assert_refused(kedge("target", "rename", *arguments, cwd=project), 3, word)
    assert (project / "kedge.toml").read_text() == PROJECT


def test_set_writes_fields_and_labels_and_removes_what_is_empty(project: Path) -> None:
    values = ["label.room=", "label.floor=3", "root="]
    assert kedge("target", "set", "pi", *values, cwd=project).code == 0
    assert targets(project)[0]["labels"] == {"floor": "3"}
    assert "/tmp/somewhere" not in (project / "kedge.toml").read_text()


@pytest.mark.parametrize(
    ("value", "code", "word"),
    [
        ("root=relative", 3, "absolute"),
        ("address=", 3, "address"),
        ("address=pi@host name", 3, "address"),
        ("host_key=x", 2, "host_key"),
        ("nonsense", 2, "KEY=VALUE"),
    ],
)
def test_a_value_that_is_not_right_leaves_the_file(
    value: str, code: int, word: str, project: Path
) -> None:
    ran = kedge("target", "set", "pi", value, cwd=project)
    assert ran.code == code
    assert word in ran.err
    assert (project / "kedge.toml").read_text() == PROJECT


def test_the_status_of_each_board_is_shown_and_a_dead_one_stops_no_other(tmp_path: Path) -> None:
    dead = f'[targets.dead]\naddress = "pi@127.0.0.1:1"\nhost_key = "SHA256:{"A" * 43}"\n'
    here = f'[targets.here]\naddress = "local"\nroot = "{tmp_path}/root"\n'
    (tmp_path / "kedge.toml").write_text(dead + here)
    entries = kedge("target", "list", "--status", "--json", cwd=tmp_path).json["targets"]
    verdicts = {entry["name"]: entry["status"]["verdict"] for entry in entries}
    assert verdicts["dead"] == "UNREACHABLE"
    assert verdicts["here"].startswith("READY")
    assert not (tmp_path / "root").exists()


def test_a_single_target_needs_no_name_and_several_do(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(relu_model())
    add = ("target", "add", "here", "local", "--root", str(tmp_path / "root"))
    assert kedge(*add, cwd=tmp_path).code == 0
    pushed = kedge("push", "model.tflite", "--json", cwd=tmp_path)
    assert pushed.json["target"] == "here"
    assert kedge("target", "add", "two", "local", cwd=tmp_path).code == 0
    assert_refused(kedge("push", "model.tflite", cwd=tmp_path), 3, "here, two", "--on")
    for option in ("--on", "--to"):
        assert kedge("push", "model.tflite", option, "here", cwd=tmp_path).code == 0


def test_hooks_are_allowed_and_forbidden_by_set(project: Path) -> None:
    assert kedge("target", "set", "pi", "hooks=true", cwd=project).code == 0
    assert "hooks = true" in (project / "kedge.toml").read_text()
    assert kedge("target", "set", "pi", "hooks=false", cwd=project).code == 0
    assert "hooks" not in (project / "kedge.toml").read_text()
    refused = kedge("target", "set", "pi", "hooks=maybe", cwd=project)
    assert refused.code == 2
    assert "hooks is true or false" in refused.err
