"""`kedge init` begins a project, and `kedge doctor` checks this computer."""

import os
import pty
import select
import sys
from pathlib import Path

import pytest
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


@pytest.mark.parametrize(
    ("boards", "words"),
    [
        (["pi"], "expected NAME=USER@HOST or NAME=local"),
        (["=local"], "expected NAME=USER@HOST or NAME=local"),
        (["pi="], "expected NAME=USER@HOST or NAME=local"),
        (["two words=local"], "is not a name for a target"),
        (["pi=me@[::1"], "is not the address of a board"),
        (["pi=local", "pi=me@board"], "two boards are called pi"),
    ],
)
def test_a_board_that_is_none_is_refused_before_anything_is_written(
    boards: list[str], words: str, tmp_path: Path
) -> None:
    options = [part for board in boards for part in ("--board", board)]
    assert_refused(kedge("init", *options, cwd=tmp_path), 3, words)
    assert not (tmp_path / "kedge.toml").exists()


def test_a_project_in_a_project_is_said(tmp_path: Path) -> None:
    (tmp_path / "kedge.toml").touch()
    inner = tmp_path / "inner"
    inner.mkdir()
    begun = kedge("init", cwd=inner)
    assert begun.code == 0
    assert f"{tmp_path / 'kedge.toml'} no longer" in begun.err


def talk(folder: Path, answers: list[str]) -> tuple[str, int]:
    """Run `kedge init` on a terminal, and type an answer whenever it asks."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.execv(sys.executable, [sys.executable, "-m", "toolkit.cli", "init"])
    text, seen = "", 0
    while select.select([terminal], [], [], 120)[0]:
        try:
            text += os.read(terminal, 4096).decode()
        except OSError:  # the program has ended
            break
        if answers and text[seen:].rstrip(" ").endswith(":"):
            seen = len(text)
            os.write(terminal, f"{answers.pop(0)}\n".encode())
    os.close(terminal)
    return text, os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def test_a_wrong_answer_is_said_and_the_question_asked_again(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(relu_model())
    answers = ["no.h5", "m.tflite", "no.npz", "", "pi", "here=local", "here=local", ""]
    text, code = talk(tmp_path, answers)
    assert code == 0, text
    for words in ("no.h5: not found", "no.npz: not found", "expected NAME=USER@HOST",
                  "two boards are called here", "added here (local)"):  # fmt: skip
        assert words in text
    told = tomllib.loads((tmp_path / "kedge.toml").read_text())
    assert list(told["targets"]) == ["here"]


def test_nothing_is_asked_where_a_project_is_already(tmp_path: Path) -> None:
    (tmp_path / "kedge.toml").touch()
    text, code = talk(tmp_path, [])
    assert code == 3
    assert "is there already" in text
    assert "Model to convert" not in text


def test_the_doctor_names_what_is_wrong_and_the_way_out(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    for name in ("id_ed25519", "other", "other.pub"):
        (home / ".ssh" / name).write_text("key")
        (home / ".ssh" / name).chmod(0o644)
    (tmp_path / "kedge.toml").write_text("[targets.pi]\naddress = 5\n")
    env = {"HOME": str(home), "SSH_AUTH_SOCK": str(tmp_path / "nobody")}
    checked = kedge("doctor", "--json", cwd=tmp_path, env=env)
    assert checked.code == 3
    findings = {each["subject"]: each for each in checked.json["findings"]}
    keys, project = findings["SSH keys"], findings["project"]
    assert keys["state"] == project["state"] == "WRONG"
    assert keys["fix"] == "chmod 600 ~/.ssh/id_ed25519 ~/.ssh/other"
    assert "address" in project["detail"]
    assert findings["Python"]["state"] == "ok"
    assert findings["SSH agent"]["state"] == "not installed"
