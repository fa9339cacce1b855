"""The keys and the configuration of an OpenSSH server that serves one user on loopback."""

import base64
import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from toolkit.errors import ToolkitError

LOOPBACK = "127.0.0.1"

# The server's program is not on the PATH of an ordinary user.
_SYSTEM_FOLDERS = ("/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin", "/bin", "/usr/local/bin")


class SshdUnavailableError(ToolkitError):
    """No OpenSSH server can be started on this computer."""


@dataclass(frozen=True)
class KeyPair:
    """An SSH key pair on the disk."""

    private: Path
    """The private key; its public half lies beside it and ends in `.pub`."""
    kind: str
    """The key's type, as in `ssh-ed25519`."""
    public_key: str
    """Type and key, as in a line of `authorized_keys`, without the comment."""
    fingerprint: str
    """`SHA256:` and the digest, as OpenSSH prints it."""


def find_program(name: str) -> str:
    """The absolute path of one of OpenSSH's programs.

    Raises:
        SshdUnavailableError: The program is not installed.
    """
    program = shutil.which(name) or shutil.which(name, path=":".join(_SYSTEM_FOLDERS))
    if program is None:
        package = "openssh-server" if name == "sshd" else "openssh-client"
        raise SshdUnavailableError(
            f"{name} was not found: no SSH server can be started here",
            hint=f"Install OpenSSH ({package} on Debian and Ubuntu), or use the board `local`.",
        )
    return str(Path(program).resolve())


def make_key(private: Path) -> KeyPair:
    """Makes an ed25519 key pair without a passphrase, or reads the one that lies there.

    Raises:
        SshdUnavailableError: `ssh-keygen` is missing or failed.
    """
    if not private.exists():
        program = find_program("ssh-keygen")
        command = [program, "-q", "-t", "ed25519", "-N", "", "-C", "kedge", "-f", str(private)]
        process = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if process.returncode != 0:
            reason = (process.stderr or process.stdout).strip()
            raise SshdUnavailableError(
                f"ssh-keygen could not write {private}: {reason}",
                hint="Check that the folder is writable and the disk is not full.",
            )
    kind, key = private.with_name(private.name + ".pub").read_text().split()[:2]
    digest = hashlib.sha256(base64.b64decode(key)).digest()
    fingerprint = "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
    return KeyPair(private, kind, f"{kind} {key}", fingerprint)


def known_hosts_line(port: int, public_key: str) -> str:
    """The line of a `known_hosts` file by which `ssh` knows the server on this port."""
    return f"[{LOOPBACK}]:{port} {public_key}\n"


def config_text(
    folder: PurePath,
    port: int,
    user: str,
    *,
    with_sftp: bool = True,
    with_pam: bool = False,
    extra: Sequence[str] = (),
) -> str:
    """The configuration of a server that lets one user in, by key only, from this computer.

    Args:
        folder: Holds `host_key` and `authorized_keys`, by the path that the server sees.
        port: Port to listen on.
        user: The only user who may log in.
        with_sftp: Whether the SFTP subsystem is offered.
        with_pam: Whether PAM opens the sessions; passwords are never used.
        extra: Further lines. They come first, where OpenSSH lets the first value win, except
            those from a `Match` on, which end the file.
    """
    blocks = [line.split()[:1] == ["Match"] for line in extra]
    cut = blocks.index(True) if True in blocks else len(extra)
    lines = [
        *extra[:cut],
        f"Port {port}",
        f"ListenAddress {LOOPBACK}",
        f"HostKey {_quoted(folder / 'host_key')}",
        f"AuthorizedKeysFile {_quoted(folder / 'authorized_keys', tokens=True)}",
        f"AllowUsers {user}",
        "PermitRootLogin prohibit-password",
        "PubkeyAuthentication yes",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        f"UsePAM {'yes' if with_pam else 'no'}",
        "StrictModes no",  # the folder may lie below one that others can write to, such as /tmp
        "PidFile none",
        "PermitUserRC no",
        "PrintMotd no",
        "PrintLastLog no",
        # bash reads the user's ~/.bashrc for every command that comes over SSH, unless it is told
        # that it is no first shell; what stands there may be slow, or wait for a lock of its own.
        "SetEnv SHLVL=1",
        "UseDNS no",
        "X11Forwarding no",
        "AllowTcpForwarding no",
        "AllowAgentForwarding no",
        "MaxStartups 100",
        "MaxSessions 100",
        "LogLevel INFO",  # the line that says it listens is at this level
        *(["Subsystem sftp internal-sftp"] if with_sftp else []),
        *extra[cut:],
    ]
    return "\n".join(lines) + "\n"


def _quoted(path: PurePath, *, tokens: bool = False) -> str:
    """A path as a value of sshd_config, which splits at spaces and may expand `%` tokens."""
    text = str(path).replace("%", "%%") if tokens else str(path)
    return f'"{text}"'
