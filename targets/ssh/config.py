"""What `~/.ssh/config` and `/etc/ssh/ssh_config` say of a host; the files are never written.

They are read as ssh(1) reads them, but for the Match criteria that run programs or that ask the
network: such blocks are passed over, and a failure of the connection says so.
"""

from __future__ import annotations

import getpass
import glob
import os
import re
import socket
from dataclasses import dataclass, field
from pathlib import Path

from targets.address import AddressError, parse_jump
from targets.errors import TargetError
from targets.ssh.config_words import (
    expand_home,
    expand_path,
    expand_tokens,
    matches_list,
    seconds_of,
    split_words,
)
from targets.ssh.read_file import read_file

#: Another file than those two, or `none`, as for `ssh -F`.
PATH_VARIABLE = "KEDGE_SSH_CONFIG"

_SYSTEM_PATH = Path("/etc/ssh/ssh_config")

#: Files of host keys that ssh reads where no file is named, the user's own first.
_KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
_SYSTEM_KNOWN_HOSTS = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")

_LINE = re.compile(r"(?P<key>\w+)(?:[ \t]*=[ \t]*|[ \t]+)(?P<value>.+)\Z")
_CRITERIA = {"host", "originalhost", "user", "localuser"}
_CRITERIA_ALONE = {"all", "canonical", "final"}
_MOST_DEPTH = 16  # as ssh_config(5) has it
_MOST_BYTES = 1 << 20

#: Settings with exactly one value.
_SINGLE = {
    "connecttimeout",
    "hostkeyalias",
    "hostname",
    "identitiesonly",
    "identityagent",
    "identityfile",
    "port",
    "proxyjump",
    "user",
}

#: Settings whose value is a command: the rest of the line, with its quotes.
_COMMANDS = {"proxycommand", "localcommand", "remotecommand", "knownhostscommand"}


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
    """Value of `ProxyJump`."""
    proxy_command: str | None = None
    connect_timeout_s: float | None = None
    host_key_alias: str | None = None
    known_hosts: tuple[Path, ...] = ()
    """Files of host keys, in the order in which they are read."""
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
        path: Path of the only file to read; without it `~/.ssh/config` and
            `/etc/ssh/ssh_config`, or what KEDGE_SSH_CONFIG names.

    Raises:
        SshConfigError: A file cannot be read, or a line of it is wrong; the user corrects it.
    """
    reader = _Reader(host)
    # The first value wins, so what is set already is said first.
    reader.values.update({"user": user} if user else {})
    reader.values.update({"port": str(port)} if port else {})
    paths = [path] if path is not None else _own_paths()
    for is_final in (False, True):
        if is_final and not reader.has_final:
            break
        reader.is_final = is_final
        for each in paths:
            if each.exists():
                reader.read(each, each.parent)
    return _settings(reader)


_HINT = "Correct it (ssh -G HOST checks it), or set KEDGE_SSH_CONFIG=none to ignore it."


def usual_known_hosts() -> tuple[Path, ...]:
    """Return the files of host keys that ssh reads where its configuration names no file."""
    return tuple(expand_home(Path(name)) for name in (*_KNOWN_HOSTS, *_SYSTEM_KNOWN_HOSTS))


def _own_paths() -> list[Path]:
    name = os.environ.get(PATH_VARIABLE)
    if name:
        return [] if name == "none" else [Path(name)]
    return [expand_home(Path("~/.ssh/config")), _SYSTEM_PATH]


def _settings(reader: _Reader) -> HostSettings:
    values = reader.values
    host = reader.host_name
    port = values.get("port")
    tokens = {
        "h": host,
        "n": reader.host,
        "k": values.get("hostkeyalias", reader.host),
        "p": str(_port_of(port)) if port else "22",
        "r": values.get("user") or _user_name(),
        "u": _user_name(),
        "d": str(expand_home(Path("~"))),
        "i": str(os.getuid()),
        "l": socket.gethostname(),
        "L": socket.gethostname().partition(".")[0],
    }
    command = values.get("proxycommand", "none")
    jump = values.get("proxyjump")
    user_files = split_words(values.get("userknownhostsfile", " ".join(_KNOWN_HOSTS)))
    system_files = split_words(values.get("globalknownhostsfile", " ".join(_SYSTEM_KNOWN_HOSTS)))
    agent = values.get("identityagent")
    if agent is not None and not agent.startswith("$"):
        agent = str(expand_path(agent, tokens))
    return HostSettings(
        host=host,
        user=values.get("user"),
        port=_port_of(port) if port else None,
        identities=tuple(
            expand_path(name, tokens) for name in reader.identities if name.lower() != "none"
        ),
        identities_only=values.get("identitiesonly", "").lower() in ("yes", "true"),
        identity_agent=agent,
        jump=expand_tokens(jump, tokens) if jump else None,
        proxy_command=None if command.lower() == "none" else expand_tokens(command, tokens),
        connect_timeout_s=seconds_of(values.get("connecttimeout", "")) or None,
        host_key_alias=values.get("hostkeyalias"),
        known_hosts=tuple(
            expand_path(name, tokens)
            for name in (*user_files, *system_files)
            if name.lower() != "none"
        ),
        ignored_settings=tuple(dict.fromkeys(reader.ignored_settings)),
    )


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in some containers
        return str(os.getuid())


@dataclass(frozen=True)
class _Source:
    """File that is read."""

    folder: Path
    depth: int
    counts: bool


@dataclass
class _Reader:
    """Reads files line by line; the first value of a setting in a block that fits counts."""

    host: str
    is_final: bool = False
    """Whether this is the second reading, for `Match final`."""
    has_final: bool = False
    values: dict[str, str] = field(default_factory=dict)
    identities: list[str] = field(default_factory=list)
    ignored_settings: list[str] = field(default_factory=list)

    @property
    def host_name(self) -> str:
        """Name or number to connect to, as far as it is known."""
        return expand_tokens(self.values.get("hostname", "%h"), {"h": self.host})

    def read(self, path: Path, folder: Path, depth: int = 0, *, counts: bool = True) -> None:
        """Read a file.

        Args:
            path: Path of the file.
            folder: Folder in which files lie that are included by a relative path.
            depth: Number of files that include this one.
            counts: Whether the line that includes it stands in a block that fits.

        Raises:
            SshConfigError: It cannot be read, or a line is wrong.
        """
        try:
            content = read_file(path, _MOST_BYTES + 1)
        except OSError as error:
            raise SshConfigError(f"cannot read {path}: {error.strerror or error}", _HINT) from error
        if len(content) > _MOST_BYTES:
            raise SshConfigError(f"{path} has more than {_MOST_BYTES >> 20} MiB", _HINT)
        text = content.decode("utf-8", "replace")
        source = _Source(folder, depth, counts)
        fits = counts
        for number, line in enumerate(map(str.strip, text.split("\n")), 1):
            if line and not line.startswith("#"):
                fits = self._read_line(line, f"{path}, line {number}", source, fits)

    def _read_line(self, line: str, where: str, source: _Source, fits: bool) -> bool:
        """Read one line; return whether the block in which the next one stands fits."""
        key, value, words = _parts(line, where)
        if key == "host":
            name = self.host_name.lower() if self.is_final else self.host
            return source.counts and matches_list(name, words)
        if key == "match":
            return self._fits(words, where, source.counts)
        if key == "include":
            if source.depth >= _MOST_DEPTH:
                raise SshConfigError(f"{where}: files include each other without end", _HINT)
            for path in _included(words, source.folder):
                self.read(path, source.folder, source.depth + 1, counts=fits)
        elif key == "canonicalizehostname":
            if words[0].lower() in ("yes", "always") and fits:
                self.ignored_settings.append(f"CanonicalizeHostname ({where})")
        else:
            if key in _SINGLE and len(words) > 1:
                raise SshConfigError(f"{where}: {key} takes one value, found {value!r}", _HINT)
            _check_value(key, words[0], where)
            if fits:
                self._set(key, value, words)
        return fits

    def _set(self, key: str, value: str, words: list[str]) -> None:
        if key == "hostname" and self.is_final:  # the name is settled by then
            return
        if key == "identityfile":
            if words[0] not in self.identities:
                self.identities.append(words[0])
        elif key == "proxycommand":  # the first of either counts
            if self.values.get("proxyjump", "none").lower() == "none":
                self.values.setdefault(key, value)
        elif key == "proxyjump":
            if "proxycommand" not in self.values:
                self.values.setdefault(key, words[0])
        elif key in ("userknownhostsfile", "globalknownhostsfile"):  # several files
            self.values.setdefault(key, value)
        elif key != "connecttimeout" or words[0].lower() != "none":  # `none` sets nothing
            self.values.setdefault(key, words[0])

    def _fits(self, words: list[str], where: str, fits: bool) -> bool:
        """Tell whether a Match block counts; one that is passed over does not.

        Args:
            words: Criteria and their patterns.
            where: File and number of the line.
            fits: Whether the file counts; `Match final` has an effect where it does not, too.
        """
        rest = list(words)
        while rest:
            criterion, equals, patterns = rest.pop(0).partition("=")
            name = criterion.lower().removeprefix("!")
            if name not in _CRITERIA | _CRITERIA_ALONE:
                if fits:
                    self.ignored_settings.append(f"Match {name} ({where})")
                return False
            if name in _CRITERIA_ALONE:
                self.has_final |= name == "final"
                is_true = name == "all" or self.is_final  # `canonical` holds then, too
            else:
                if not equals and not rest:
                    raise SshConfigError(f"{where}: Match {name} lacks its pattern", _HINT)
                patterns = patterns if equals else rest.pop(0)
                if name in ("host", "originalhost"):
                    patterns = patterns.lower()
                is_true = matches_list(self._subject(name), patterns.split(","))
            fits &= is_true != criterion.startswith("!")
        return fits

    def _subject(self, criterion: str) -> str:
        if criterion == "host":
            return self.host_name.lower()
        if criterion == "originalhost":
            return self.host.lower()
        own_name = _user_name()
        return own_name if criterion == "localuser" else self.values.get("user", own_name)


def _parts(line: str, where: str) -> tuple[str, str, list[str]]:
    """Divide a line into the name of the setting in lower case, its value, and its words."""
    match = _LINE.match(line)
    if not match:
        raise SshConfigError(f"{where}: {line!r} is not a setting with a value", _HINT)
    key, value = match["key"].lower(), match["value"].strip()
    if key in _COMMANDS:
        return key, value, [value]
    try:
        words = split_words(value)
    except ValueError as error:
        raise SshConfigError(f"{where}: {value!r} has a quote without its end", _HINT) from error
    if not words:
        raise SshConfigError(f"{where}: {line!r} is not a setting with a value", _HINT)
    return key, value, words


def _included(patterns: list[str], folder: Path) -> list[Path]:
    """Return the files that patterns name, in the order of ssh; folders are passed over."""
    paths = []
    for pattern in patterns:
        full = folder / expand_path(pattern, {})
        paths += [Path(name) for name in sorted(glob.glob(str(full)))]  # noqa: PTH207 - as glob(3)
    return [path for path in paths if not path.is_dir()]


def _port_of(text: str) -> int:
    """Return the number of a port, or of a service of /etc/services; 0 where it is neither."""
    if re.match(r"[0-9]{1,5}\Z", text):
        return int(text)
    try:
        return socket.getservbyname(text, "tcp")
    except (OSError, ValueError):
        return 0


def _check_value(key: str, value: str, where: str) -> None:
    if key == "port" and not 0 < _port_of(value) < 65536:
        raise SshConfigError(f"{where}: Port must be 1 to 65535, found {value!r}", _HINT)
    if key == "connecttimeout" and value.lower() != "none" and seconds_of(value) is None:
        raise SshConfigError(
            f"{where}: ConnectTimeout must be a time such as 30 or 1m30s, found {value!r}", _HINT
        )
    if key == "proxyjump" and "%" not in value:
        try:
            parse_jump(value)
        except AddressError as error:
            raise SshConfigError(f"{where}: ProxyJump: {error}", _HINT) from error
