"""Nothing that a board, a model or a project says reaches the terminal as anything but text."""

import contextlib
import json
import os
import pty
import re
import select
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

from tests.targets.loopback import listening
from toolkit.cli.ask import server_lines
from toolkit.cli.escapes import escape_controls
from toolkit.demo.sshd_files import make_key

#: Title, clipboard, clear, color, C1's CSI, DEL, bidi, separators, a return to the first column.
HOSTILE = (
    "\x1b]0;OWNED\x07\x1b[2J\x1b[31mred\x1b[0m\x1b]52;c;ZWNobw==\x07"
    "\x9b2J\x7f\u202egnp.\u2066\u2028\u2029\x85\r\x08\udce9"
)
COLORS = re.compile(r"\r?\x1b\[[0-9;?]*[mhlJKA]")  # of kedge, rich and click themselves

SHOW = """
import json, sys
from toolkit.cli import main, output
from toolkit.errors import ToolkitError
h = json.loads(sys.argv[1])
output.say("say " + h); output.note("note " + h); output.warn("warn " + h)
output.table("title " + h, ["column " + h, "b"], [["cell " + h, output.color("good", fg="green")]])
with output.progress() as show:
    show("board: phase [/] [red] :smile: " + h, 1, 2)
error = ToolkitError("error " + h, "hint " + h)
error.traceback = "traceback " + h
main._explain(error)
main._explain(ValueError("bug " + h))
"""


def run_in_terminal(code: str, *arguments: str) -> str:
    """Run Python code in a terminal; return everything that was shown."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", code, *arguments])
    shown = b""
    with contextlib.suppress(OSError):  # the other end is closed: it ended
        while data := os.read(terminal, 4096):
            shown += data
    os.waitpid(pid, 0)
    os.close(terminal)
    return shown.decode("utf-8", "surrogateescape").replace("\r\n", "\n")


def test_no_control_sign_reaches_the_terminal() -> None:
    shown = run_in_terminal(SHOW, json.dumps(HOSTILE))
    own = COLORS.sub("", shown)

    assert "\x1b[33mnote: " in shown
    assert "\x1b[32mgood" in shown
    assert own.count(r"\x1b]0;OWNED\x07\x1b[2J\x1b[31mred\x1b[0m") >= 7
    assert r"\x9b2J\x7f\u202egnp.\u2066\u2028\u2029\x85\x0d\x08\xe9" in own.replace("\n", "")
    assert "[/] [red] :smile:" in own
    assert not [sign for sign in own if sign != "\n" and escape_controls(sign) != sign]
    assert "MarkupError" not in own


@pytest.mark.parametrize(
    "text", ["", "Grüße — 5 µs", "数字", "👩‍👩‍👧 🇩🇪", "a\tb\nc", "خوب", "\u202f5\xa0%\u3000"]
)
def test_text_of_all_languages_stays(text: str) -> None:
    assert escape_controls(text) == text


def test_no_line_of_a_server_is_at_the_left_edge() -> None:
    prompt = (
        "\x1b[2K\r" + "a" * 76 + "kedge: Passphrase of ~/.ssh/id_ed25519" + "\n" * 99 + "数" * 90
    )

    lines = server_lines(prompt, columns=80)
    assert all(line.startswith("  | ") for line in lines)
    assert all(len(line) + line.count("数") < 80 for line in lines)
    assert len(lines) == 40
    assert server_lines("(root@pi) Password: ") == ["  | (root@pi) Password: "]


class _Asking(paramiko.ServerInterface):  # type: ignore[misc] # paramiko has no types
    """Takes a key first, then asks for what only the owner of the key knows."""

    answers: list[list[str]] = []

    def get_allowed_auths(self, username: str) -> str:
        return "publickey,keyboard-interactive"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return int(paramiko.AUTH_FAILED)

    def check_auth_interactive(self, username: str, submethods: str) -> paramiko.InteractiveQuery:
        prompt = f"\x1b[2K\r\x1b[1A\x1b[2Kkedge: Passphrase of {_Asking.key}"
        return paramiko.InteractiveQuery("", "", (prompt, False))

    key = Path()

    def check_auth_interactive_response(self, responses: list[str]) -> int:
        _Asking.answers.append(responses)
        return int(paramiko.AUTH_FAILED)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Path]:
    """A project whose only board asks like kedge; its key is locked."""
    host, key = make_key(tmp_path / "host"), tmp_path / "id"
    paramiko.RSAKey.generate(2048).write_private_key_file(str(key), password="my secret")
    _Asking.answers, _Asking.key = [], key
    transports: list[paramiko.Transport] = []

    def answer(connection: socket.socket) -> None:
        transport = paramiko.Transport(connection)
        transport.add_server_key(paramiko.Ed25519Key(filename=str(host.private)))
        transport.start_server(server=_Asking(), event=threading.Event())
        transports.append(transport)

    with listening(answer) as port:
        (tmp_path / "kedge.toml").write_text(
            f'[targets.f]\naddress = "me@127.0.0.1:{port}"\nhost_key = "{host.fingerprint}"\n'
            f'host_key_type = "ssh-ed25519"\nroot = "/k"\nidentity = "{key}"\n'
        )
        yield tmp_path
        for transport in transports:
            transport.close()


def test_a_board_cannot_ask_for_a_passphrase_in_the_words_of_kedge(board: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(board)
        command = [sys.executable, "-m", "toolkit.cli", "target", "check", "f"]
        os.execv(sys.executable, command)
    shown, answers = b"", [b"my secret", b"for the board", b"", b"", b""]
    end = time.monotonic() + 30
    with contextlib.suppress(OSError):  # the other end is closed: it ended
        while select.select([terminal], [], [], max(0.0, end - time.monotonic()))[0]:
            shown += os.read(terminal, 4096)
            if re.search(rb"(kedge: Passphrase|Answer that)[^\n]*: $", shown):
                os.write(terminal, answers.pop(0) + b"\n")
                shown += b"\n"
    os.close(terminal)
    os.waitpid(pid, 0)

    text = COLORS.sub("", shown.decode())
    questions = [line for line in text.splitlines() if line.startswith("kedge: ")]
    assert questions == [f"kedge: Passphrase of {board / 'id'}: "]
    assert "me on f (127.0.0.1 port" in text
    assert "  | \\x1b[2K\\x0d\\x1b[1A\\x1b[2Kkedge: Passphrase of" in text
    assert "\x1b" not in text
    assert ["for the board"] in _Asking.answers
    assert not [reply for reply in _Asking.answers if "my secret" in reply]
