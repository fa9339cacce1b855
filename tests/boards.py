"""Boards for the tests, made of real parts: this computer, a real SSH server, an emulated arm64.

Each ends with everything that runs on it, also when the tests are killed, and leaves no mount and
no file behind.
"""

import contextlib
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NoReturn

import pytest

from tests import arm64_root
from toolkit.demo.keeper import end_kept, start_kept
from toolkit.demo.sshd import start_listening, start_sshd
from toolkit.demo.sshd_files import (
    LOOPBACK,
    SshdUnavailableError,
    config_text,
    find_program,
    known_hosts_line,
    make_key,
)

KINDS = ("local", "ssh", "arm64")

_CHROOT_SCRIPT = Path(__file__).with_name("arm64_chroot.sh")
# The emulated board's disk: the only place that it can write to, besides its home and /tmp.
_ARM64_DISK = PurePosixPath("/srv")
_ARM64_UP_WITHIN_SECONDS = 60.0


@dataclass(frozen=True)
class BoardUnderTest:
    """A running board: what `kedge target add` is told about it.

    Attributes:
        name: How the tests name the target.
        kind: One of KINDS.
        address: `local`, or USER@HOST:PORT.
        identity: The client's private key; None for the local board.
        host_key: The server's fingerprint, `SHA256:…`; None for the local board.
        host_public_key: The server's public key, as in `known_hosts`; None for the local board.
        root: A fresh folder on the board, by the path that the board sees.
        root_on_host: The same folder, by the path that the tests see.
        keeper_pid: The process above everything on the board; None for the local board.
        log: What the board's server wrote; None for the local board.
    """

    name: str
    kind: str
    address: str
    identity: Path | None
    host_key: str | None
    host_public_key: str | None
    root: str
    root_on_host: Path
    keeper_pid: int | None
    log: Path | None


def require_board_parts(kind: str) -> None:
    """Skips the test, with the missing part, when this kind of board cannot start here.

    With KEDGE_REQUIRE_BOARDS=1, as in CI, it fails instead.
    """
    missing = missing_board_part(kind)
    if missing is not None:
        _skip_or_fail(f"no {kind} board here; missing: {missing}")


def missing_board_part(kind: str) -> str | None:
    """The first part that this kind of board lacks on this computer, or None."""
    if kind == "local":
        return None
    try:
        for program in ("ssh", "ssh-keygen", *(["sshd"] if kind == "ssh" else [])):
            find_program(program)
    except SshdUnavailableError as error:
        return f"{error}. {error.hint}"
    return arm64_root.missing_part() if kind == "arm64" else None


@contextlib.contextmanager
def start_board(
    kind: str, *, with_sftp: bool = True, extra_config: Sequence[str] = ()
) -> Iterator[BoardUnderTest]:
    """Runs a board of this kind until the block ends.

    Args:
        kind: One of KINDS.
        with_sftp: Whether the board's SSH server offers SFTP.
        extra_config: Lines for the configuration of its SSH server, such as `ForceCommand`.
    """
    require_board_parts(kind)
    with tempfile.TemporaryDirectory(prefix=f"kedge-{kind}-board-") as name:
        folder = Path(name).resolve()
        (folder / "root").mkdir()
        if kind == "local":
            yield _local(folder)
        elif kind == "ssh":
            with _ssh(folder, with_sftp, extra_config) as board:
                yield board
        elif kind == "arm64":
            with _arm64(folder, with_sftp, extra_config) as board:
                yield board
        else:
            raise ValueError(f"no kind of board: {kind}; expected one of {KINDS}")


def ssh_command(address: str, identity: Path, host_public_key: str) -> list[str]:
    """The `ssh` client for this address; it trusts this host key only, and never asks."""
    port = int(address.rpartition(":")[2])
    kind, key = host_public_key.split()[:2]
    line = known_hosts_line(port, f"{kind} {key}")
    digest = hashlib.sha256(line.encode()).hexdigest()[:12]
    known_hosts = identity.parent / f"known_hosts-{digest}"
    known_hosts.write_text(line)
    # The client expands tokens that begin with `%` in both.
    known, key_file = (str(path).replace("%", "%%") for path in (known_hosts, identity))
    options = [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        f'UserKnownHostsFile="{known}"',
        "GlobalKnownHostsFile=/dev/null",
        "UpdateHostKeys=no",
        f'IdentityFile="{key_file}"',
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        "ConnectTimeout=30",
        "LogLevel=ERROR",
    ]
    flags = [part for option in options for part in ("-o", option)]
    return ["ssh", "-F", "none", *flags, f"ssh://{address}"]


def _skip_or_fail(reason: str) -> NoReturn:
    if os.environ.get("KEDGE_REQUIRE_BOARDS") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def _local(folder: Path) -> BoardUnderTest:
    root = folder / "root"
    return BoardUnderTest(
        name="local",
        kind="local",
        address="local",
        identity=None,
        host_key=None,
        host_public_key=None,
        root=str(root),
        root_on_host=root,
        keeper_pid=None,
        log=None,
    )


@contextlib.contextmanager
def _ssh(folder: Path, with_sftp: bool, extra: Sequence[str]) -> Iterator[BoardUnderTest]:
    try:
        server = start_sshd(folder / "sshd", with_sftp=with_sftp, extra_config=extra)
    except SshdUnavailableError as error:
        _skip_or_fail(f"no ssh board here: {error}")
    with server:
        yield BoardUnderTest(
            name="ssh",
            kind="ssh",
            address=server.address,
            identity=server.identity,
            host_key=server.host_key_fingerprint,
            host_public_key=server.host_key,
            root=str(folder / "root"),
            root_on_host=folder / "root",
            keeper_pid=server.keeper_pid,
            log=server.log,
        )


@contextlib.contextmanager
def _arm64(folder: Path, with_sftp: bool, extra: Sequence[str]) -> Iterator[BoardUnderTest]:
    try:
        system = arm64_root.ensure_root()
    except arm64_root.Arm64RootError as error:  # no network, for one
        _skip_or_fail(f"no arm64 board here: {error}")
    for name, mode in (("home", 0o700), ("tmp", 0o1777), ("sshd", 0o755)):
        (folder / name).mkdir()
        (folder / name).chmod(mode)
    folder.chmod(0o755)
    host_key = make_key(folder / "sshd" / "host_key")
    client_key = make_key(folder / "client_key")
    (folder / "sshd" / "authorized_keys").write_text(client_key.public_key + "\n")
    log = folder / "sshd.log"

    def start(port: int) -> "subprocess.Popen[bytes]":
        inside = _ARM64_DISK / "sshd"
        text = config_text(inside, port, "root", with_sftp=with_sftp, extra=extra)
        (folder / "sshd" / "sshd_config").write_text(text)
        server = ["/usr/sbin/sshd", "-D", "-e", "-f", str(inside / "sshd_config")]
        return start_kept(in_chroot(system, folder, server), log)

    keeper, port = start_listening(start, log, None, _ARM64_UP_WITHIN_SECONDS)
    try:
        yield BoardUnderTest(
            name="arm64",
            kind="arm64",
            address=f"root@{LOOPBACK}:{port}",
            identity=client_key.private,
            host_key=host_key.fingerprint,
            host_public_key=host_key.public_key,
            root=str(_ARM64_DISK / "root"),
            root_on_host=folder / "root",
            keeper_pid=keeper.pid,
            log=log,
        )
    finally:
        end_kept(keeper)


def in_chroot(system: Path, folder: Path, command: Sequence[str]) -> list[str]:
    """The command line that runs a command on the emulated board."""
    unshare = arm64_root.find_program("unshare") or "unshare"
    own = [unshare, "--mount", "--pid", "--fork", "--kill-child=KILL"]
    clean = ["env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    return [*own, *clean, "sh", str(_CHROOT_SCRIPT), str(system), str(folder), *command]
