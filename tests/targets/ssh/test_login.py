"""Logging in to real servers: with an agent, with keys, with what a person types."""

import os
import pty
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from targets.inventory import Target
from targets.ssh.secrets import SECRETS
from targets.ssh.transport import connect_ssh
from targets.transport import LoginRefusedError
from tests.accounts import PASSWORD, Account, dropbear, openssh
from tests.kedge import assert_refused, kedge
from tests.targets.loopback import Asked, target_at
from toolkit.demo.sshd import LoopbackSshd
from toolkit.demo.sshd_files import find_program

PASSPHRASE = "a secret phrase"
WITH_PASSWORD = ("PermitRootLogin yes", "PasswordAuthentication yes")
WITH_QUESTIONS = ("PermitRootLogin yes", "KbdInteractiveAuthentication yes")

pytestmark = pytest.mark.usefixtures("nothing_on_stderr", "no_thread_stays", "home")


@pytest.fixture
def locked(server: LoopbackSshd, tmp_path: Path) -> Target:
    """A target whose key has a passphrase."""
    key = tmp_path / "locked_key"
    shutil.copy(server.identity, key)
    change = [find_program("ssh-keygen"), "-q", "-p", "-P", "", "-N", PASSPHRASE, "-f", str(key)]
    subprocess.run(change, check=True, capture_output=True)
    return replace(target_at(server), identity=key)


def ssh_add(key: Path) -> None:
    subprocess.run([find_program("ssh-add"), "-q", key], check=True, capture_output=True)


def runs(target: Target) -> bool:
    with connect_ssh(target) as transport:
        return transport.run("echo in", b"", 10).stdout == b"in\n"


def refusal(target: Target) -> LoginRefusedError:
    with pytest.raises(LoginRefusedError) as refused:
        connect_ssh(target)
    assert PASSWORD not in str(refused.value)
    assert PASSPHRASE not in str(refused.value)
    assert refused.value.hint
    return refused.value


@pytest.mark.usefixtures("agent")
def test_a_key_of_the_agent_is_enough(server: LoopbackSshd) -> None:
    target = replace(target_at(server), identity=None)
    ssh_add(server.identity)

    assert runs(target)


@pytest.mark.usefixtures("agent")
def test_a_key_of_the_usual_files_is_enough(server: LoopbackSshd, home: Path) -> None:
    shutil.copy(server.identity, home / ".ssh/id_ed25519")

    assert runs(replace(target_at(server), identity=None))


@pytest.mark.usefixtures("agent")
def test_a_locked_key_that_the_agent_holds_asks_nobody(
    locked: Target, server: LoopbackSshd, asked: Asked
) -> None:
    ssh_add(server.identity)  # the same key; its half in the file is read without a passphrase

    assert runs(locked)
    assert asked.questions == []


@pytest.mark.usefixtures("agent")
def test_one_named_key_is_not_drowned_by_those_of_the_agent(
    server: LoopbackSshd, tmp_path: Path
) -> None:
    for number in range(7):  # OpenSSH hangs up after six
        key = tmp_path / f"other{number}"
        make = [find_program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
        subprocess.run(make, check=True)
        ssh_add(key)

    assert runs(target_at(server))
    cut = refusal(replace(target_at(server), identity=None))
    assert "hung up" in str(cut)
    assert "--identity" in cut.hint


def test_a_passphrase_is_asked_for_once_a_process(locked: Target, asked: Asked) -> None:
    asked.answers = ["wrong", PASSPHRASE]

    assert runs(locked)
    assert runs(locked)
    assert asked.questions == [(f"Passphrase of {locked.identity}", True)] * 2


def test_a_passphrase_that_is_not_given(locked: Target, asked: Asked) -> None:
    asked.answers = [""]

    assert "passphrase of the identity" in str(refusal(locked))
    assert len(asked.questions) == 1


def test_a_passphrase_that_stays_wrong(locked: Target, asked: Asked) -> None:
    asked.answers = ["wrong"]

    assert "was not given" in str(refusal(locked))
    assert len(asked.questions) == 3


def test_nobody_types_a_passphrase(locked: Target) -> None:
    SECRETS.ask_with(lambda question, hidden: None)
    refused = refusal(locked)

    assert "has a passphrase, and nobody can type it" in str(refused)
    assert f"ssh-add {locked.identity}" in refused.hint


@pytest.mark.parametrize("extra", [WITH_PASSWORD, WITH_QUESTIONS], ids=["password", "questions"])
def test_a_password_is_asked_for_once_a_process(
    tmp_path: Path, asked: Asked, extra: tuple[str, ...]
) -> None:
    asked.answers = ["wrong", PASSWORD]
    with openssh(tmp_path / "sshd", Account(tmp_path / "board"), *extra) as target:
        target = replace(target, identity=None)
        assert runs(target)
        assert runs(target)

    assert len(asked.questions) == 2
    for question, hidden in asked.questions:
        assert hidden
        assert "password" in question.lower()
        assert "root on board" in question


def test_a_password_for_dropbear(tmp_path: Path, asked: Asked) -> None:
    asked.answers = ["wrong", PASSWORD]
    with dropbear(tmp_path / "dropbear", Account(tmp_path / "board")) as target:
        assert runs(replace(target, identity=None))

    assert asked.questions == [("Password of root on board", True)] * 2


def test_a_key_and_a_password_together(tmp_path: Path, asked: Asked) -> None:
    asked.answers = [PASSWORD]
    both = (*WITH_PASSWORD, "AuthenticationMethods publickey,password")
    with openssh(tmp_path / "sshd", Account(tmp_path / "board"), *both) as target:
        assert runs(target)

    assert asked.questions == [("Password of root on board", True)]


def test_a_password_that_stays_wrong(tmp_path: Path, asked: Asked) -> None:
    asked.answers = ["wrong"]
    with openssh(tmp_path / "sshd", Account(tmp_path / "board"), *WITH_PASSWORD) as target:
        refused = refusal(replace(target, identity=None))

    assert "refused the login of root with the password" in str(refused)
    assert len(asked.questions) == 3
    assert "ssh-copy-id" in refused.hint


def test_nobody_types_a_password(tmp_path: Path) -> None:
    with openssh(tmp_path / "sshd", Account(tmp_path / "board"), *WITH_PASSWORD) as target:
        refused = refusal(replace(target, identity=None))

    assert "it would take a password, and nobody can type it" in str(refused)
    assert "ssh-copy-id" in refused.hint


def test_no_key_is_recommended_to_a_server_that_takes_none(tmp_path: Path, asked: Asked) -> None:
    asked.answers = ["wrong"]
    options = (*WITH_PASSWORD, "PubkeyAuthentication no")
    with openssh(tmp_path / "sshd", Account(tmp_path / "board"), *options) as target:
        refused = refusal(replace(target, identity=None))

    assert "ssh-copy-id" not in refused.hint
    assert "Check the answer" in refused.hint


def test_a_key_that_is_not_enough(tmp_path: Path) -> None:
    both = (*WITH_PASSWORD, "AuthenticationMethods publickey,password")
    with openssh(tmp_path / "sshd", Account(tmp_path / "board"), *both) as target:
        refused = refusal(target)

    assert refused.hint == "Run kedge in a terminal, which asks."


def test_a_server_that_takes_neither_keys_nor_passwords(tmp_path: Path) -> None:
    other = ("HostbasedAuthentication yes", "AuthenticationMethods hostbased")
    with openssh(tmp_path / "sshd", Account(tmp_path / "board"), *other) as target:
        refused = refusal(target)

    assert "it takes no keys and no passwords, but hostbased" in str(refused)
    assert "PubkeyAuthentication" in refused.hint


# The command line.


def add_to_project(project: Path, target: Target) -> None:
    project.mkdir()
    lines = ["[targets.board]"]
    for key in ("address", "host_key", "host_key_type", "identity", "root"):
        lines.append(f'{key} = "{getattr(target, key)}"')
    (project / "kedge.toml").write_text("\n".join(lines) + "\n")


def test_the_command_line_without_a_terminal(locked: Target, tmp_path: Path) -> None:
    add_to_project(tmp_path / "project", locked)
    ran = kedge("target", "check", "board", cwd=tmp_path / "project")

    assert_refused(ran, 6, "has a passphrase, and nobody can type it", "ssh-add")


def test_the_command_line_asks_in_a_terminal_and_shows_nothing(
    locked: Target, server: LoopbackSshd, tmp_path: Path
) -> None:
    add_to_project(tmp_path / "project", replace(locked, root=str(tmp_path / "root")))
    command = [sys.executable, "-m", "toolkit.cli", "target", "remove", "board"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path / "project")
        os.execv(sys.executable, command)
    shown = b""
    typed = False
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            shown += os.read(terminal, 4096)
        except OSError:  # the other end is closed: it ended
            break
        if b"Passphrase of" in shown and not typed:
            typed = True
            os.write(terminal, PASSPHRASE.encode() + b"\n")
    _, status = os.waitpid(pid, 0)
    os.close(terminal)

    assert os.waitstatus_to_exitcode(status) == 0, shown
    assert shown.count(b"Passphrase of") == 1
    assert PASSPHRASE.encode() not in shown
    assert b"removed board" in shown
    assert "Accepted publickey" in server.log.read_text()
