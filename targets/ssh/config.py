"""What `~/.ssh/config` says of a host; the file is read, never written.

paramiko reads the format, except Include, which is put in place here, and the Match criteria that
run programs or that it does not know: those blocks are passed over, and a failure says so.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import paramiko

from targets.address import AddressError, parse_jump
from targets.errors import TargetError

#: Another file than ~/.ssh/config, or `none`, as for `ssh -F`.
PATH_VARIABLE = "KEDGE_SSH_CONFIG"

_LINE = re.compile(r"(?P<key>\w+)(?:\s*=\s*|\s+)(?P<value>.+)\Z")
_SECONDS = re.compile(r"(?P<number>[0-9]{1,6})(?P<unit>[sSmM]?)\Z")
_CRITERIA = {"host", "originalhost", "user", "localuser"}
_CRITERIA_ALONE = {"all", "canonical", "final"}
_NEVER = "Host !*"
_IN_BLOCK = "KedgeInBlock"
_MOST_DEPTH = 16  # as ssh_config(5) has it


class SshConfigError(TargetError):
    """The user's SSH configuration cannot be read, or a line of it is wrong."""

    exit_code = 3


@dataclass(frozen=True)
class HostSettings:
    """Settings of one host in the configuration; `None` for a setting that it does not have."""

    host: str
    """Name or number to connect to: `HostName`, or the host as the user wrote it."""
    user: str | None = None
    port: int | None = None
    identities: tuple[Path, ...] = ()
    identities_only: bool = False
    identity_agent: str | None = None
    """Socket of the SSH agent, `none`, `SSH_AUTH_SOCK` or `$VARIABLE`."""
    jump: str | None = None
    """Value of `ProxyJump`, as the file has it."""
    proxy_command: str | None = None
    connect_timeout_s: float | None = None
    host_key_alias: str | None = None
    ignored_settings: tuple[str, ...] = ()
    """Settings that kedge does not follow, and where each stands."""


def read_settings(
    host: str, user: str | None = None, port: int | None = None, path: Path | None = None
) -> HostSettings:
    """Look a host up in the user's SSH configuration.

    Args:
        host: Name or number, as the user wrote it, or a `Host` of the file.
        user: A user that is set already, which wins.
        port: A port that is set already, which wins.
        path: Path of the file; without it `~/.ssh/config`, or what KEDGE_SSH_CONFIG names.

    Raises:
        SshConfigError: The file cannot be read, or a line of it is wrong; the user corrects it.
    """
    path = path or _own_path()
    if path is None or not path.exists():
        return HostSettings(host, user, port)
    reader = _Reader(path.parent, host)
    # The first value wins, so what is set already is said first.
    reader.lines += [f"User {user}"] if user else []
    reader.lines += [f"Port {port}"] if port else []
    try:
        reader.read(path)
        settings = reader.look_up()
    except KeyError as error:  # what `getpass` raises: paramiko wants a name for the tokens
        raise SshConfigError(
            f"{path} is not followed: the user id {os.getuid()} has no name on this computer",
            "Set USER to a name, or set KEDGE_SSH_CONFIG=none to ignore the file.",
        ) from error
    except (paramiko.ConfigParseError, OSError, ValueError) as error:
        raise SshConfigError(f"{path} is not understood: {error}", _HINT) from error
    return _settings(settings, tuple(reader.ignored_settings))


_HINT = "Correct it (ssh -G HOST checks it), or set KEDGE_SSH_CONFIG=none to ignore it."


def _own_path() -> Path | None:
    name = os.environ.get(PATH_VARIABLE)
    if name:
        return None if name == "none" else Path(name)
    try:
        return Path.home() / ".ssh" / "config"
    except RuntimeError:  # a user without a home has no configuration
        return None


def expand_home(path: Path) -> Path:
    """Put the user's home in place of `~`; without a home the path stays, and names no file."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def _settings(settings: Mapping[str, object], ignored_settings: tuple[str, ...]) -> HostSettings:
    def text(key: str) -> str | None:
        value = settings.get(key)
        return str(value) if value is not None else None

    files = settings.get("identityfile") or []
    assert isinstance(files, list)
    port = text("port")
    wait = _seconds(text("connecttimeout") or "")
    return HostSettings(
        host=text("hostname") or "",
        user=text("user"),
        port=int(port) if port else None,
        identities=tuple(expand_home(Path(name)) for name in files if name.lower() != "none"),
        identities_only=(text("identitiesonly") or "").lower() == "yes",
        identity_agent=text("identityagent"),
        jump=text("proxyjump"),
        proxy_command=text("proxycommand"),
        connect_timeout_s=wait or None,
        host_key_alias=text("hostkeyalias"),
        ignored_settings=ignored_settings,
    )


class _Reader:
    """Makes one text of the file and of what it includes, in lines that paramiko understands."""

    def __init__(self, folder: Path, host: str) -> None:
        self._folder = folder
        self._host = host
        self._block = "Host *"
        self.lines: list[str] = []
        self.ignored_settings: list[str] = []

    def look_up(self) -> Mapping[str, object]:
        """Return the settings of the host, by keys in lower case."""
        settings: Mapping[str, object] = paramiko.SSHConfig.from_text("\n".join(self.lines)).lookup(
            self._host
        )
        return settings

    def read(self, path: Path, depth: int = 0) -> None:
        """Add the lines of a file.

        Raises:
            SshConfigError: It cannot be read, or a line is wrong.
        """
        try:
            text = path.read_bytes().decode("utf-8", "replace")
        except OSError as error:
            raise SshConfigError(f"cannot read {path}: {error.strerror or error}", _HINT) from error
        for number, line in enumerate(map(str.strip, text.splitlines()), 1):
            if line and not line.startswith("#"):
                self._take(line, f"{path}, line {number}", depth)

    def _take(self, line: str, where: str, depth: int) -> None:
        match = _LINE.match(line)
        if not match:
            raise SshConfigError(f"{where}: {line!r} is not a setting with a value", _HINT)
        key, value = match["key"].lower(), match["value"].strip()
        if key != "proxycommand":  # the rest of its line is a shell command
            value = _without_comment(value)
        words = _words(value, where) if key in ("host", "match", "include") else []
        if key == "include":
            self._include(words, where, depth)
        elif key in ("host", "match"):
            self._block = f"{key} {value}" if key == "host" else self._match(words, value, where)
            self.lines.append(self._block)
        elif key.startswith("canonical"):
            self.ignored_settings.append(f"{match['key']} ({where})")
        else:
            _check_value(key, value, where)
            self.lines.append(f"{key} {value}")

    def _include(self, patterns: list[str], where: str, depth: int) -> None:
        """Read the files that a line includes, if it stands in a block that counts."""
        if depth >= _MOST_DEPTH:
            raise SshConfigError(f"{where}: files include each other without end", _HINT)
        config = paramiko.SSHConfig.from_text("\n".join([*self.lines, f"{_IN_BLOCK} yes"]))
        if _IN_BLOCK.lower() not in config.lookup(self._host):
            return
        block = self._block
        for pattern in patterns:
            full = self._folder / expand_home(Path(pattern))
            for path in sorted(Path(full.anchor).glob(str(full.relative_to(full.anchor)))):
                self.read(path, depth + 1)
        self._block = block
        self.lines.append(block)

    def _match(self, words: list[str], value: str, where: str) -> str:
        """Return the line that begins a Match block; of one that is passed over, nothing counts."""
        rest = list(words)
        while rest:
            criterion = rest.pop(0).lower().removeprefix("!")
            if criterion in _CRITERIA_ALONE:
                continue
            if criterion not in _CRITERIA:
                self.ignored_settings.append(f"Match {criterion} ({where})")
                return _NEVER
            if not rest:
                raise SshConfigError(f"{where}: Match {criterion} lacks its pattern", _HINT)
            rest.pop(0)
        return f"match {value}"


def _words(value: str, where: str) -> list[str]:
    try:
        return shlex.split(value)
    except ValueError as error:
        raise SshConfigError(f"{where}: {value!r} has a quote without its end", _HINT) from error


def _without_comment(value: str) -> str:
    """Cut what follows a word that begins with `#`, outside quotes."""
    in_quotes = False
    for position, sign in enumerate(value):
        if sign == '"':
            in_quotes = not in_quotes
        elif sign == "#" and not in_quotes and (position == 0 or value[position - 1].isspace()):
            return value[:position].rstrip()
    return value


def _check_value(key: str, value: str, where: str) -> None:
    plain = value.strip('"')
    if key == "port" and not (re.match(r"[0-9]{1,5}\Z", plain) and 0 < int(plain) < 65536):
        raise SshConfigError(f"{where}: Port must be 1 to 65535, found {plain!r}", _HINT)
    if key == "connecttimeout" and plain.lower() != "none" and _seconds(plain) is None:
        raise SshConfigError(f"{where}: ConnectTimeout must be seconds, found {plain!r}", _HINT)
    if key == "proxyjump":
        try:
            parse_jump(plain)
        except AddressError as error:
            raise SshConfigError(f"{where}: ProxyJump: {error}", _HINT) from error


def _seconds(text: str) -> float | None:
    match = _SECONDS.match(text)
    if not match:
        return None
    return int(match["number"]) * (60.0 if match["unit"].lower() == "m" else 1.0)
