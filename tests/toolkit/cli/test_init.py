"""`kedge init` begins a project, and `kedge doctor` checks this computer."""

from pathlib import Path

import tomllib

from tests.kedge import assert_refused, kedge
from tests.tiny_model import relu_model


def test_a_project_begins_with_a_board_and_the_next_command(tmp_path: Path) -> None:
    begun = kedge("init", "--board", "here=local", cwd=tmp_path)
    assert begun.code == 0
    assert "added here (local)" in begun.out
    assert "next: kedge convert-and-push MODEL --data DATA --to here" in begun.out
    text = (tmp_path / "kedge.toml").read_text()
    assert tomllib.loads(text)["targets"]["here"]["address"] == "local"
    assert "kedge convert-and-push MODEL --data DATA --to here" in text
    listed = kedge("target", "list", cwd=tmp_path)
    assert listed.code == 0 and "here" in listed.out


def test_nothing_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "kedge.toml").write_text("# mine\n")
    refused = kedge("init", "--board", "here=local", cwd=tmp_path)
    assert_refused(refused, 3, "is there already", "kedge target add")
    assert (tmp_path / "kedge.toml").read_text() == "# mine\n"


def test_a_model_or_data_that_is_not_there_is_named_before_anything_is_written(
    tmp_path: Path,
) -> None:
    (tmp_path / "m.tflite").write_bytes(relu_model())
    for options in (["--model", "no.h5"], ["--model", "m.tflite", "--data", "no.npz"]):
        assert_refused(kedge("init", *options, cwd=tmp_path), 4, "no.")
        assert not (tmp_path / "kedge.toml").exists()


def test_a_board_that_cannot_be_added_has_its_command_for_later(tmp_path: Path) -> None:
    begun = kedge("init", "--board", "pi=nobody@127.0.0.1:1", cwd=tmp_path)
    assert begun.code == 6
    assert "once it answers: kedge target add pi nobody@127.0.0.1:1" in begun.err
    assert tomllib.loads((tmp_path / "kedge.toml").read_text()) == {}


def test_the_doctor_names_what_is_wrong_and_the_way_out(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    for name in ("id_ed25519", "id_ed25519.pub"):
        (home / ".ssh" / name).write_text("key")
    (home / ".ssh" / "id_ed25519").chmod(0o644)
    (tmp_path / "kedge.toml").write_text("[targets.pi]\naddress = 5\n")
    env = {"HOME": str(home), "SSH_AUTH_SOCK": str(tmp_path / "nobody")}
    checked = kedge("doctor", "--json", cwd=tmp_path, env=env)
    assert checked.code == 3
    findings = {each["subject"]: each for each in checked.json["findings"]}
    keys, project = findings["SSH keys"], findings["project"]
    assert keys["state"] == project["state"] == "WRONG"
    assert keys["fix"] == "chmod 600 ~/.ssh/id_ed25519"
    assert "address" in project["detail"]
    assert findings["Python"]["state"] == "ok"
    assert findings["SSH agent"]["state"] == "not installed"
