"""An OpenSSH server on loopback: unprivileged, with keys of its own, gone when it is stopped.

`kedge demo` deploys to it and the tests log in to it, so the way to a board is a real one on a
computer that has no board. It needs `sshd` and `ssh-keygen`, no root and no configuration of the
system; only the user who started it can log in, with the key that was made for it.
"""

import contextlib
import os
import pwd
import re
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from toolkit.demo.keeper import end_kept, start_kept
from toolkit.demo.sshd_files import (
    LOOPBACK,
    SshdUnavailableError,
    config_text,
    find_program,
    known_hosts_line,
    make_key,
)

_UP_WITHIN_SECONDS = 10.0
_PORTS_TRIED = 5
_NO_LOGIN_SHELLS = ("nologin", "false")


class _PortTakenError(Exception):
    """Somebody else took the port between its choice and its use."""


@dataclass(frozen=True)
class LoopbackSshd:
    """A running server, and all that a client must know of it."""

    host: str
    """Always the loopback address."""
    port: int
    """Port on which it listens."""
    user: str
    """The only user who can log in: the one who started it."""
    identity: Path
    """The client's private key."""
    host_key: str
    """The server's public key, type and key, as in a `known_hosts` line."""
    host_key_type: str
    """Type of the key, such as `ssh-ed25519`."""
    host_key_fingerprint: str
    """`SHA256:` and the digest."""
    log: Path
    """File of the server's messages."""
    folder: Path
    """Folder of its keys and its configuration."""
    with_sftp: bool
    """Whether it offers SFTP."""
    extra_config: tuple[str, ...]
    """The lines that were added to its configuration."""
    _keeper: "subprocess.Popen[bytes]" = field(repr=False, compare=False)

    @property
    def address(self) -> str:
        """USER@HOST:PORT, as `kedge target add` takes it."""
        return f"{self.user}@{self.host}:{self.port}"

    @property
    def known_hosts(self) -> str:
        """The `known_hosts` line of this server."""
        return known_hosts_line(self.port, self.host_key)

    @property
    def keeper_pid(self) -> int:
        """The process above the server and all its sessions."""
        return self._keeper.pid

    def stop(self) -> None:
        """Ends the server and every process of its sessions; harmless a second time."""
        end_kept(self._keeper)

    def restart(self, *, new_host_key: bool = False) -> "LoopbackSshd":
        """Ends this server and starts its successor on the same port, for the same client key.

        Args:
            new_host_key: Whether the successor has another host key, as a board that was set up
                anew has, or somebody in the middle.
        """
        self.stop()
        if new_host_key:
            for name in ("host_key", "host_key.pub"):
                (self.folder / name).unlink()
        return start_sshd(
            self.folder,
            port=self.port,
            with_sftp=self.with_sftp,
            extra_config=self.extra_config,
        )

    def __enter__(self) -> "LoopbackSshd":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def start_sshd(
    folder: Path,
    *,
    port: int | None = None,
    with_sftp: bool = True,
    extra_config: Sequence[str] = (),
) -> LoopbackSshd:
    """Starts a server that the current user can log in to, and returns when it listens.

    Args:
        folder: Made when it is missing. Gets the keys, the configuration and the log; keys that
            lie there already are used again.
        port: Port to listen on; a free one if it is not given.
        with_sftp: Whether SFTP is offered, which not every board does.
        extra_config: Lines of sshd_config that win over the server's own, such as `ForceCommand`.

    Raises:
        SshdUnavailableError: `sshd` or `ssh-keygen` is missing, the user has no login shell, or
            the server did not come up.
    """
    folder = folder.resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    program = find_program("sshd")
    account = _own_account()
    host_key = make_key(folder / "host_key")
    client_key = make_key(folder / "client_key")
    (folder / "authorized_keys").write_text(client_key.public_key + "\n")
    extra = [*_no_penalties(program), *extra_config]
    with_pam = _is_locked(account.pw_name)
    config = folder / "sshd_config"

    def start(free: int) -> "subprocess.Popen[bytes]":
        text = config_text(
            folder, free, account.pw_name, with_sftp=with_sftp, with_pam=with_pam, extra=extra
        )
        config.write_text(text)
        _check_config(program, config)
        return start_kept([program, "-D", "-e", "-f", str(config)], log)

    log = folder / "sshd.log"
    keeper, port_in_use = start_listening(start, log, port)
    return LoopbackSshd(
        host=LOOPBACK,
        port=port_in_use,
        user=account.pw_name,
        identity=client_key.private,
        host_key=host_key.public_key,
        host_key_type=host_key.kind,
        host_key_fingerprint=host_key.fingerprint,
        log=log,
        folder=folder,
        with_sftp=with_sftp,
        extra_config=tuple(extra_config),
        _keeper=keeper,
    )


def start_listening(
    start: Callable[[int], "subprocess.Popen[bytes]"],
    log: Path,
    port: int | None,
    seconds: float = _UP_WITHIN_SECONDS,
) -> tuple["subprocess.Popen[bytes]", int]:
    """Starts a server and waits until it listens; tries another port where one was taken.

    Args:
        start: Starts the server on the given port, under a keeper that writes to `log`.
        log: Emptied before each start.
        port: The only port to try, or None for any free one.
        seconds: How long one start may take.

    Returns:
        The keeper, and the port on which its server listens.

    Raises:
        SshdUnavailableError: It did not come up; the message holds the end of the log.
    """
    for _ in range(_PORTS_TRIED if port is None else 1):
        candidate = free_port() if port is None else port
        log.write_bytes(b"")
        keeper = start(candidate)
        try:
            _wait_until_listening(keeper, log, candidate, seconds)
        except _PortTakenError:
            end_kept(keeper)
        except BaseException:
            end_kept(keeper)
            raise
        else:
            return keeper, candidate
    raise SshdUnavailableError(
        f"the SSH server found no free port on {LOOPBACK}: {_tail(log)}",
        hint="End the program that listens on the port, or choose another port.",
    )


def free_port() -> int:
    """A port of the loopback address that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _wait_until_listening(
    keeper: "subprocess.Popen[bytes]", log: Path, port: int, seconds: float
) -> None:
    """Waits for the server's own word; a connection alone may have reached somebody else."""
    deadline = time.monotonic() + seconds
    while True:
        ended = keeper.poll() is not None  # before the reading, so that its last words are read
        messages = log.read_text(errors="replace")
        if f"Server listening on {LOOPBACK} port {port}" in messages:
            return
        if "Address already in use" in messages:
            raise _PortTakenError
        if ended or time.monotonic() > deadline:
            what = "ended at once" if ended else f"was not up after {seconds:.0f} s"
            raise SshdUnavailableError(
                f"the SSH server {what}: {_tail(log)}",
                hint=f"The whole log is {log}. Use the board `local` where sshd cannot run.",
            )
        time.sleep(0.02)


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-8:]
    return " | ".join(line.strip() for line in lines if line.strip()) or "its log is empty"


def _own_account() -> pwd.struct_passwd:
    """The account of the current user, when one can log in to it."""
    try:
        account = pwd.getpwuid(os.geteuid())
    except KeyError as error:
        raise SshdUnavailableError(
            f"the user id {os.geteuid()} has no name on this computer, so nobody can log in",
            hint="Run kedge as a user that /etc/passwd knows, or use the board `local`.",
        ) from error
    if Path(account.pw_shell).name in _NO_LOGIN_SHELLS:
        raise SshdUnavailableError(
            f"the user {account.pw_name} has the login shell {account.pw_shell} and cannot log in",
            hint="Run kedge as a user with a login shell, or use the board `local`.",
        )
    return account


def _is_locked(user: str) -> bool:
    """Whether the account has a locked password, as root has on Ubuntu.

    OpenSSH refuses such an account even by key, unless PAM decides. Only root can see it, and
    only a server of root's looks.
    """
    with contextlib.suppress(OSError):
        for line in Path("/etc/shadow").read_text(errors="replace").splitlines():
            name, _, rest = line.partition(":")
            if name == user:
                return rest.startswith("!")
    return False


def _no_penalties(program: str) -> list[str]:
    """Since 9.8 a refused login makes the server deaf to its address for a while.

    All clients share the loopback address here, and older servers refuse the option.
    """
    said = subprocess.run(
        [program, "-V"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    version = re.search(r"OpenSSH_(\d+)\.(\d+)", said.stderr + said.stdout)
    newer = version is not None and (int(version[1]), int(version[2])) >= (9, 8)
    return ["PerSourcePenalties no"] if newer else []


def _check_config(program: str, config: Path) -> None:
    """Lets the server check its configuration, so that a mistake in it is named.

    A server of root's also wants its privilege separation folder, which the system makes only
    when its own server starts.
    """
    command = [program, "-t", "-f", str(config)]
    for _ in range(2):
        checked = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if checked.returncode == 0:
            return
        missing = re.search(r"Missing privilege separation directory: (\S+)", checked.stderr)
        if missing is None or os.geteuid() != 0:
            break
        Path(missing[1]).mkdir(mode=0o755, parents=True, exist_ok=True)
    raise SshdUnavailableError(
        f"sshd refuses the configuration {config}: {checked.stderr.strip()}",
        hint="Use the board `local` where sshd cannot run.",
    )
