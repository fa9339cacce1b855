"""Servers whose account is a test's own: its shell, its home, its password.

They run in a mount namespace, where `root` of a copied /etc/passwd has these; the computer's own
files are never touched. Only root can do that.
"""

import contextlib
import os
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from targets.inventory import Target
from targets.ssh.route import route_to
from targets.ssh.transport import read_host_key
from tests.boards import require_board_parts
from toolkit.demo.keeper import end_kept, start_kept
from toolkit.demo.sshd import free_port, start_listening
from toolkit.demo.sshd_files import LOOPBACK, config_text, find_program, make_key

_USER_NUMBER = 54321

PASSWORD = "right-password"
# Of `openssl passwd -6`.
_HASH = (
    "$6$kedgetests$"
    "v856QazIKD5ddZMDkBsM/j7PoLzMGL/lPr0y0OmdPKTzck/FayJAY5zr/s9E"
    "WvHXAIqxFPnONW3ijVOi2kzue/"
)


@dataclass(frozen=True)
class Account:
    """The account of a server."""

    home: Path
    shell: str = "/bin/sh"
    user: str = "root"


def require_namespaces() -> None:
    """Skips the test where no account can be made for it."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("only root can make an account for a test")


def of_account(account: Account, folder: Path, command: Sequence[str]) -> list[str]:
    """The command line that runs a server where its account is as it should be."""
    number = 0 if account.user == "root" else _USER_NUMBER
    os.chown(account.home, number, number)
    user = account.user
    for name, line in {
        "passwd": f"{user}:x:{number}:{number}:{user}:{account.home}:{account.shell}",
        "shadow": f"{user}:{_HASH}:19000:0:99999:7:::",
    }.items():
        others = Path("/etc", name).read_text().splitlines()
        kept = [other for other in others if not other.startswith(f"{user}:")]
        (folder / name).write_text("\n".join([line, *kept, ""]))
        (folder / name).chmod(0o644 if name == "passwd" else 0o600)
    mounts = "; ".join(f"mount --bind {folder / name} /etc/{name}" for name in ("passwd", "shadow"))
    return ["unshare", "-m", "sh", "-ec", f"{mounts}; exec {shlex.join(command)}"]


@contextlib.contextmanager
def openssh(folder: Path, account: Account, *extra: str) -> Iterator[Target]:
    """A real OpenSSH server for this account; the target that reaches it with a key."""
    require_board_parts("ssh")
    require_namespaces()
    folder.mkdir(parents=True)
    account.home.mkdir(parents=True, exist_ok=True)
    host_key, client_key = make_key(folder / "host_key"), make_key(folder / "client_key")
    (folder / "authorized_keys").write_text(client_key.public_key + "\n")
    log = folder / "sshd.log"

    def start(port: int) -> "subprocess.Popen[bytes]":
        text = config_text(folder, port, account.user, with_pam=True, extra=extra)
        (folder / "sshd_config").write_text(text)
        server = [find_program("sshd"), "-D", "-e", "-f", str(folder / "sshd_config")]
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        return start_kept(of_account(account, folder, server), log)

    keeper, port = start_listening(start, log, None)
    try:
        yield Target(
            name="board",
            address=f"{account.user}@{LOOPBACK}:{port}",
            host_key=host_key.fingerprint,
            host_key_type=host_key.kind,
            identity=client_key.private,
            root=str(account.home / "kedge"),
        )
    finally:
        end_kept(keeper)


@contextlib.contextmanager
def dropbear(folder: Path, account: Account, *options: str) -> Iterator[Target]:
    """A real Dropbear for this account; the target that reaches it with a key."""
    program = shutil.which("dropbear", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None or shutil.which("dropbearkey") is None:
        pytest.skip("dropbear is not installed")
    require_namespaces()
    folder.mkdir(parents=True)
    client_key = make_key(folder / "client_key")
    (account.home / ".ssh").mkdir(mode=0o700, parents=True)
    account.home.chmod(0o700)  # it refuses the keys of a home that others may write to
    keys = account.home / ".ssh/authorized_keys"
    keys.write_text(client_key.public_key + "\n")
    if account.user != "root":
        for path in (keys.parent, keys):
            os.chown(path, _USER_NUMBER, _USER_NUMBER)
    host = folder / "host"
    subprocess.run(["dropbearkey", "-t", "ed25519", "-f", host], check=True, capture_output=True)
    port = free_port()
    command = [program, "-F", "-E", "-r", str(host), "-p", f"{LOOPBACK}:{port}", *options]
    command += ["-P", str(folder / "pid")]
    keeper = start_kept(of_account(account, folder, command), folder / "log")
    try:
        _wait_until_open(port)
        target = Target(
            name="board",
            address=f"{account.user}@{LOOPBACK}:{port}",
            identity=client_key.private,
            root=str(account.home / "kedge"),
        )
        shown = read_host_key(route_to(target))
        yield replace(target, host_key=shown.fingerprint, host_key_type=shown.kind)
    finally:
        end_kept(keeper)


def _wait_until_open(port: int) -> None:
    end = time.monotonic() + 60
    while True:
        with socket.socket() as probe:
            if probe.connect_ex((LOOPBACK, port)) == 0:
                return
        assert time.monotonic() < end
        time.sleep(0.05)
