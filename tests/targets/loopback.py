"""Targets that are real servers on this computer."""

import contextlib
import getpass
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from targets import provision
from targets.execution import Execution
from targets.inventory import Target
from targets.probe import Probe, Python
from targets.ssh.secrets import Question
from tests.boards import BoardUnderTest
from toolkit.demo.keeper import descendants
from toolkit.demo.sshd import LoopbackSshd, start_sshd


def target_of(board: BoardUnderTest, root: str | None = None) -> Target:
    return Target(
        name=board.name,
        address=board.address,
        host_key=board.host_key,
        host_key_type="ssh-ed25519" if board.host_key else None,
        identity=board.identity,
        root=root or board.root,
    )


def target_at(server: LoopbackSshd, root: Path | str = "~/none") -> Target:
    return Target(
        name="board",
        address=server.address,
        host_key=server.host_key_fingerprint,
        host_key_type=server.host_key_type,
        identity=server.identity,
        root=str(root),
    )


def target_on(port: int) -> Target:
    """A target behind whatever listens on a port."""
    address = f"{getpass.getuser()}@127.0.0.1:{port}"
    return Target(name="board", address=address, host_key="SHA256:" + "A" * 43, root="/none")


def let_boards_use_the_tests_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """The board's Python is the tests' own, which has a runtime: nothing is downloaded."""
    real = provision.probe_board

    def probe(*arguments: object) -> Probe:
        own = Python(sys.version_info[:2], sys.executable)
        return replace(real(*arguments), pythons=(own,))  # type: ignore[arg-type]

    monkeypatch.setattr(provision, "probe_board", probe)


def with_own_runtime(target: Target) -> Target:
    """The same target, which uses the runtime that its Python has."""
    return replace(target, execution=Execution(runtime="board:ai-edge-litert"))


class Asked:
    """Stands for the person at the terminal."""

    def __init__(self) -> None:
        self.questions: list[tuple[str, bool]] = []
        self.answers: list[str] = []
        """Given in turn; the last one again and again."""

    def __call__(self, question: Question, hidden: bool) -> str:
        words = f"{question.server}: {question.text}" if question.server else question.text
        self.questions.append((words, hidden))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def start_own_sshd(
    folder: Path, *, with_sftp: bool = True, extra_config: Sequence[str] = ()
) -> LoopbackSshd:
    """A server that a test may end in the middle of a login.

    With this SHLVL bash takes itself for a shell in a shell and leaves the start files of the user
    alone: what they do, such as pyenv's rehash, must not be killed half-way.
    """
    return start_sshd(folder, with_sftp=with_sftp, extra_config=("SetEnv SHLVL=1", *extra_config))


@contextlib.contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Something that accepts connections and is no SSH server; gives its port."""
    server = socket.create_server(("127.0.0.1", 0))
    opened: list[socket.socket] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection = server.accept()[0]
                opened.append(connection)
                answer(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)
        for connection in opened:
            connection.close()


def cut_sessions(keeper_pid: int) -> None:
    """Kills the server's processes that hold a connection, as a broken link would."""
    sshds = [pid for pid in descendants(keeper_pid) if name_of(pid).startswith("sshd")]
    server = min(pid for pid in sshds if parent_of(pid) == keeper_pid)
    for pid in sshds:
        if pid != server:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def parent_of(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def name_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""
