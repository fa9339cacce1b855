"""The loopback SSH server: a real client logs in, and nothing outlives the server."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boards import require_board_parts, ssh_command
from toolkit.demo import sshd, sshd_files
from toolkit.demo.keeper import descendants, end_kept, start_kept
from toolkit.demo.sshd import LoopbackSshd, free_port, start_sshd
from toolkit.demo.sshd_files import SshdUnavailableError

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def needs_sshd() -> None:
    require_board_parts("ssh")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LoopbackSshd]:
    with start_sshd(tmp_path / "sshd") as running:
        yield running


def log_in(server: LoopbackSshd, command: str) -> subprocess.CompletedProcess[str]:
    ssh = ssh_command(server.address, server.identity, server.host_key)
    return subprocess.run([*ssh, command], capture_output=True, text=True, timeout=30, check=False)


@contextlib.contextmanager
def open_session(server: LoopbackSshd) -> Iterator["subprocess.Popen[bytes]"]:
    """A session that starts two background processes, one with a process session of its own."""
    ssh = ssh_command(server.address, server.identity, server.host_key)
    command = "sleep 8640 & setsid sleep 8641 & echo ready; exec sleep 8642"
    with subprocess.Popen(
        [*ssh, command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as client:
        try:
            assert client.stdout is not None
            assert client.stdout.readline() == b"ready\n"
            yield client
        finally:
            client.kill()


def is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def ended_within(pids: list[int], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(map(is_alive, pids)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def nothing_listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_client_that_checks_the_host_key_runs_a_command(server: LoopbackSshd) -> None:
    done = log_in(server, "sh -c 'echo $((6 * 7)); exit 3'")

    assert (done.stdout, done.returncode) == ("42\n", 3)


def test_the_facts_are_those_that_openssh_prints(server: LoopbackSshd) -> None:
    listed = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(server.folder / "host_key.pub")],
        capture_output=True,
        text=True,
        check=True,
    )

    assert listed.stdout.split()[1] == server.host_key_fingerprint
    assert server.host_key_type == "ssh-ed25519"
    assert server.identity.stat().st_mode & 0o077 == 0
    assert server.address == f"{server.user}@127.0.0.1:{server.port}"


def test_another_key_is_refused(server: LoopbackSshd, tmp_path: Path) -> None:
    stranger = sshd_files.make_key(tmp_path / "stranger")
    ssh = ssh_command(server.address, stranger.private, server.host_key)

    refused = subprocess.run([*ssh, "true"], capture_output=True, text=True, check=False)

    assert refused.returncode == 255
    assert "Permission denied" in refused.stderr


def test_stop_ends_the_server_and_every_process_of_its_sessions(server: LoopbackSshd) -> None:
    with open_session(server):
        below = descendants(server.keeper_pid)
        server.stop()

        assert len(below) >= 5  # the listener, the connection, and three that sleep
        assert ended_within(below, 0)
        assert nothing_listens(server.port)


def test_stop_may_be_called_twice(server: LoopbackSshd) -> None:
    server.stop()
    server.stop()
    assert nothing_listens(server.port)


def test_nothing_outlives_a_killed_parent(tmp_path: Path) -> None:
    # The parent leaves a fork behind, which holds every descriptor of its own open.
    program = (
        "import os, sys, time; from pathlib import Path; from toolkit.demo.sshd import *\n"
        "s = start_sshd(Path(sys.argv[1]))\n"
        "fork = os.fork()\n"
        "if fork: print(s.port, s.keeper_pid, fork, flush=True)\n"
        "time.sleep(8640)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program, str(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
    )
    with parent:
        assert parent.stdout is not None
        port, keeper, fork = map(int, parent.stdout.readline().split())
        try:
            host_key = (tmp_path / "host_key.pub").read_text()
            address = f"{sshd._own_account().pw_name}@127.0.0.1:{port}"
            ssh = ssh_command(address, tmp_path / "client_key", host_key)
            client = subprocess.Popen([*ssh, "echo ready; sleep 8643"], stdout=subprocess.PIPE)
            with client:
                assert client.stdout is not None
                client.stdout.readline()
                below = descendants(keeper)
                parent.send_signal(signal.SIGKILL)
                parent.wait()

                assert len(below) >= 3
                assert ended_within([keeper, *below], 30)
                assert nothing_listens(port)
        finally:
            parent.kill()
            os.kill(fork, signal.SIGKILL)


def test_a_keeper_that_is_told_to_end_takes_everything_along(tmp_path: Path) -> None:
    keeper = start_kept(["sh", "-c", "setsid sleep 8644 & exec sleep 8645"], tmp_path / "log")
    try:
        while len(below := descendants(keeper.pid)) < 2:
            time.sleep(0.01)
        keeper.terminate()
        keeper.wait(30)

        assert ended_within(below, 0)
    finally:
        end_kept(keeper)


def test_the_command_ends_with_a_killed_keeper(tmp_path: Path) -> None:
    keeper = start_kept(["sleep", "8646"], tmp_path / "log")
    try:
        while not (below := descendants(keeper.pid)):
            time.sleep(0.01)
        keeper.kill()

        assert ended_within(below, 30)
    finally:
        end_kept(keeper)


def test_a_command_that_is_not_there_is_named_in_the_log(tmp_path: Path) -> None:
    keeper = start_kept(["/nonexistent/sshd"], tmp_path / "log")
    keeper.wait(30)
    end_kept(keeper)

    assert "cannot start /nonexistent/sshd" in (tmp_path / "log").read_text()


def test_restart_keeps_the_port_and_the_keys(server: LoopbackSshd) -> None:
    with server.restart() as successor:
        assert successor.port == server.port
        assert successor.host_key_fingerprint == server.host_key_fingerprint
        assert log_in(server, "true").returncode == 0


def test_restart_with_a_new_host_key_is_noticed_by_a_client(server: LoopbackSshd) -> None:
    with server.restart(new_host_key=True) as successor:
        noticed = log_in(server, "true")  # with the key of the first one

        assert successor.port == server.port
        assert noticed.returncode == 255
        assert "HOST IDENTIFICATION HAS CHANGED" in noticed.stderr
        assert log_in(successor, "true").returncode == 0


def test_a_forced_command_wins(tmp_path: Path) -> None:
    extra = ["ForceCommand echo forced: $SSH_ORIGINAL_COMMAND"]
    with start_sshd(tmp_path, extra_config=extra) as server:
        assert log_in(server, "id").stdout == "forced: id\n"


def test_a_match_block_leaves_the_other_settings_alone(tmp_path: Path) -> None:
    extra = ["Match User *", "    ForceCommand echo matched"]
    with start_sshd(tmp_path, extra_config=extra) as server:
        assert log_in(server, "id").stdout == "matched\n"


@pytest.mark.parametrize("with_sftp", [True, False])
def test_sftp_is_there_when_asked_for(tmp_path: Path, with_sftp: bool) -> None:
    with start_sshd(tmp_path, with_sftp=with_sftp) as server:
        ssh = ssh_command(server.address, server.identity, server.host_key)
        pipe = subprocess.PIPE
        client = subprocess.Popen([*ssh, "-s", "sftp"], stdin=pipe, stdout=pipe, stderr=pipe)
        with client:
            assert client.stdin is not None
            assert client.stdout is not None
            # The first packet of the protocol: a length of 5, INIT, version 3.
            client.stdin.write(bytes([0, 0, 0, 5, 1, 0, 0, 0, 3]))
            client.stdin.flush()
            answer = client.stdout.read(5)

    assert (answer[4:] == b"\x02") is with_sftp


def test_a_folder_with_odd_characters_works(tmp_path: Path) -> None:
    with start_sshd(tmp_path / "a folder, 100% odd") as server:
        assert log_in(server, "echo in").stdout == "in\n"


def test_a_port_that_was_taken_meanwhile_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        offers = iter([other.getsockname()[1], free_port()])
        monkeypatch.setattr(sshd, "free_port", lambda: next(offers))
        with start_sshd(tmp_path) as server:
            assert server.port != other.getsockname()[1]
            assert log_in(server, "true").returncode == 0


def test_a_given_port_that_is_taken_is_an_error(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(SshdUnavailableError, match="Address already in use"):
            start_sshd(tmp_path, port=other.getsockname()[1])


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    with pytest.raises(SshdUnavailableError, match="NoSuchSetting"):
        start_sshd(tmp_path, extra_config=["NoSuchSetting yes"])


@pytest.mark.parametrize("missing", ["sshd", "ssh-keygen"])
def test_a_missing_program_is_named_with_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    which = shutil.which
    monkeypatch.setattr(
        shutil,
        "which",
        lambda name, **kw: None if name == missing else which(name, **kw),
    )

    with pytest.raises(SshdUnavailableError, match=f"^{missing} was not found") as caught:
        start_sshd(tmp_path)

    assert "Install OpenSSH" in caught.value.hint


def test_a_server_that_does_not_come_up_shows_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = ["sh", "-c", "echo thinking about it >&2; exec sleep 8647"]

    with pytest.raises(SshdUnavailableError, match="not up after 1 s: thinking about it"):
        sshd.start_listening(lambda _port: start_kept(command, log), log, None, seconds=1)


def test_a_user_without_a_login_shell_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = pwd.getpwnam("nobody")
    monkeypatch.setattr(pwd, "getpwuid", lambda _uid: account)

    with pytest.raises(SshdUnavailableError, match="nologin"):
        start_sshd(tmp_path)
