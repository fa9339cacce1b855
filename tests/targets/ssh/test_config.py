"""`~/.ssh/config` is followed as `ssh` itself follows it, never written, and never in silence."""

import getpass
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from targets.address import AddressError
from targets.inventory import Target
from targets.place import place_of
from targets.ssh import read_file
from targets.ssh.config import SshConfigError, read_settings
from targets.ssh.route import route_to
from targets.ssh.transport import connect_ssh
from targets.transport import UnreachableError
from tests.kedge import assert_refused, kedge
from tests.targets.loopback import listening, target_at, target_on
from toolkit.demo.sshd import LoopbackSshd
from toolkit.demo.sshd_files import SshdUnavailableError, find_program

KEY = "SHA256:" + "A" * 43

CONFIGS = [
    "Host pi4\n  HostName 10.0.0.4\n  User ubuntu\n  Port 2200\n  IdentityFile ~/keys/a\n",
    "Host pi*\n  User pi\n\nHost pi4 other\n  HostName 10.0.0.4\n  User not-first\n",
    "Host * !pi4\n  User nobody\nHost ?i4\n  User pi\n",
    "Port=2201\nHost=pi4\nHostName = 10.0.0.9 # the one in the lab\n",
    'Host pi4\n  IdentityFile "~/my keys/a"\n  IdentityFile ~/keys/b\n  IdentitiesOnly yes\n',
    "Host pi4\n  HostName %h.example.org\n  ConnectTimeout 3\n  HostKeyAlias lab-pi\n",
    "Host pi4\n  ProxyJump me@a:23,b\nHost *\n  ProxyJump none\n",
    "Host pi4\n  ProxyCommand nc -X 5 %h %p # kept\n",
    "Host pi4\n  ProxyCommand none\nHost *\n  ProxyCommand nc %h %p\n",
    "Match originalhost pi4 user pi\n  HostName 10.0.0.5\nMatch host 10.*\n  Port 24\n",
    "Match host pi4 localuser nobody-here\n  Port 25\nMatch all\n  User last\n",
    "Match final host pi4\n  Port 26\n",
    "Include more\nHost pi4\n  User late\n",
    "Host other\n  Include more\nHost pi4\n  User late\n",
    "Host pi4\n  Include more\n  User late\n  Port 28\n",
    "Include more none-of-these* more.d/*\n",
    "# nothing\n\n\t\n",
    "ConnectTimeout 1m30s\nConnectTimeout 5\nPort 22\n",
    "Host pi4\n  ConnectTimeout none\nHost *\n  ConnectTimeout 1H\n",
    "Match host PI4\n  Port 29\nMatch host=pi*,!pi5\n  User eq\n",
    "Match !host pi5 !user nobody\n  Port 30\nMatch !final\n  User first\n",
    "ProxyJump none\nProxyCommand nc '%h' 100%% \"%p\"\nProxyJump late\n",
    "ProxyCommand nc %h %p\nProxyJump late\n",
    "Match final\n  HostName late\n  Port 31\nMatch all\n  IdentitiesOnly true\n",
    "Host pi4\n  User CORP\\jane\n  HostName 'pi.example.org'\n  Port 2200 # here\n",
    "Port ssh\n",
    "Include / ~nobody-here/x ~/.ssh/more\n",
    "Host p[i]4\n  Port 1\nHost pi4,other\n  Port 2\nHost other pi4 !pi4\n  Port 3\n",
    "Match canonical\n  Port 33\nMatch !canonical\n  User first\nMatch final\n  User late\n",
    "HostName 10.0.0.8\nMatch final\nHost 10.0.*\n  Port 34\nHost pi4\n  User typed\n",
    "# of Windows\r\nHost pi4\r\n  Port 32\r\n",
]
INCLUDED = "User included\n\nHost elsewhere\n  Port 9999\nHost pi4\n  HostName 10.0.0.7\n"


def write_config(home: Path, text: str) -> Path:
    (home / ".ssh/config").write_text(text)
    (home / ".ssh/config").chmod(0o600)
    return home / ".ssh/config"


def what_ssh_says(home: Path, arguments: Sequence[str]) -> dict[str, list[str]]:
    """Ask `ssh -G`, whose Include starts at the real home: so it is told by its full path."""
    try:
        program = find_program("ssh")
    except SshdUnavailableError as error:
        pytest.skip(str(error))
    text = (home / ".ssh/config").read_text()
    for name in ("more", "none-of-these*"):
        text = text.replace(f" {name}", f' "{home}/.ssh/{name}"')
    (home / "for_ssh").write_text(text)
    (home / "for_ssh").chmod(0o600)
    done = subprocess.run(
        [program, "-G", "-F", home / "for_ssh", *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    said: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        key, _, value = line.partition(" ")
        said.setdefault(key, []).append(value)
    return said


@pytest.mark.parametrize("text", CONFIGS)
@pytest.mark.parametrize("user", [None, "pi"])
def test_settings_are_those_of_ssh(home: Path, text: str, user: str | None) -> None:
    write_config(home, text)
    (home / ".ssh/more").write_text(INCLUDED)
    (home / ".ssh/more").chmod(0o600)
    told = what_ssh_says(home, [*(["-l", user] if user else []), "pi4"])
    found = read_settings("pi4", user)

    assert found.host == told["hostname"][0]
    assert (found.user or getpass.getuser()) == told["user"][0]
    assert (found.port or 22) == int(told["port"][0])
    assert found.identities_only == (told["identitiesonly"] == ["yes"])
    jump = None if (found.jump or "none") == "none" else found.jump
    assert jump == told.get("proxyjump", [None])[0]
    if command := told.get("proxycommand", [None])[0]:  # as it is written, tokens and all
        command = command.replace("%h", found.host).replace("%p", "22").replace("%%", "%")
    assert found.proxy_command == command
    assert found.host_key_alias == told.get("hostkeyalias", [None])[0]
    wait = told["connecttimeout"][0]
    assert found.connect_timeout_s == (None if wait == "none" else float(wait))
    for path in found.identities:  # `ssh` shows the tilde as it is written
        assert f"~/{path.relative_to(home)}" in told["identityfile"]
    assert found.ignored_settings == ()


def test_paths_are_expanded(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYS", "/my keys")
    lines = ["IdentityFile ${HOME}/a", 'IdentityFile "${KEYS}/%r@%h:%p"', "IdentityFile %d/100%%"]
    lines += ["IdentityAgent ~/agent", "UserKnownHostsFile ~/known '/all of them'"]
    lines += ["GlobalKnownHostsFile none", "HostName %h.lan", "Port 2200", "User me"]
    write_config(home, "\n".join(lines))
    settings = read_settings("pi4")

    assert settings.identities == (home / "a", Path("/my keys/me@pi4.lan:2200"), home / "100%")
    assert settings.identity_agent == str(home / "agent")
    assert settings.known_hosts == (home / "known", Path("/all of them"))


def test_without_a_file_nothing_is_set(home: Path) -> None:
    (home / ".ssh").rmdir()

    assert read_settings("pi4").host == "pi4"
    assert read_settings("pi4").user is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Host pi4\n  Port many\n", "line 2: Port must be 1 to 65535, found 'many'"),
        ("Host pi4\n\n  Port 0\n", "line 3: Port"),
        ("Host pi4\n  ConnectTimeout soon\n", "line 2: ConnectTimeout must be a time"),
        ("Host pi4\n  ProxyJump a b\n", "line 2: proxyjump takes one value, found 'a b'"),
        ("Host pi4\n  HostName\n", "line 2: 'HostName' is not a setting with a value"),
        ("\x00\x01\n", "line 1: "),
        ('Host "pi4\n', "line 1: '\"pi4' has a quote without its end"),
        ("Match host\n", "line 1: Match host lacks its pattern"),
        ("Include more\n", "more, line 2: Port"),
        ("Include config\n", "files include each other without end"),
    ],
)
def test_a_broken_line_is_named_with_its_file(home: Path, text: str, said: str) -> None:
    path = write_config(home, text)
    (home / ".ssh/more").write_text("# fine\nPort x\n")
    with pytest.raises(SshConfigError) as refused:
        read_settings("pi4")

    assert str(path.parent) in str(refused.value)
    assert said in str(refused.value)
    assert refused.value.exit_code == 3
    assert "ssh -G" in refused.value.hint
    assert path.read_text() == text


def test_a_file_that_cannot_be_read(home: Path) -> None:
    (home / ".ssh/config").mkdir()

    with pytest.raises(SshConfigError, match="cannot read .*config: Is a directory"):
        read_settings("pi4")


def test_a_pipe_is_not_waited_for_without_end(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_file, "LONGEST_PIPE_S", 0.2)
    os.mkfifo(home / ".ssh/config")
    with pytest.raises(SshConfigError, match="cannot read .*config: nobody wrote it within"):
        read_settings("pi4")


def test_a_pipe_that_somebody_writes_is_read(home: Path) -> None:
    path = home / ".ssh/config"
    os.mkfifo(path)
    with subprocess.Popen(["sh", "-c", 'cat > "$0"', str(path)], stdin=-1) as cat:
        assert cat.stdin is not None
        cat.stdin.write(b"Host pi4\n  User somebody\n")
        cat.stdin.close()
        assert read_settings("pi4").user == "somebody"


def test_a_file_without_end_is_refused(home: Path) -> None:
    (home / ".ssh/config").symlink_to("/dev/zero")
    with pytest.raises(SshConfigError, match="more than 1 MiB"):
        read_settings("pi4")


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("Match exec true", "Match exec"),
        ("Match host 127.* exec 'touch ran'", "Match exec"),
        ("Match !tagged x", "Match tagged"),
        ("CanonicalizeHostname yes", "CanonicalizeHostname"),
    ],
)
def test_what_is_not_followed_is_said_when_the_way_fails(home: Path, line: str, what: str) -> None:
    path = write_config(home, f"Host *\n  Port 1\n{line}\n  User wrong\nHost pi4\n  User right\n")
    found = read_settings("127.0.0.1")
    target = Target("board", "127.0.0.1", KEY)

    assert found.ignored_settings == (f"{what} ({path}, line 3)",)
    if line.startswith("Match"):
        assert read_settings("pi4").user == "right"
    with pytest.raises(UnreachableError) as refused:
        connect_ssh(target)
    assert f"Not followed of ~/.ssh/config: {what} ({path}, line 3)." in refused.value.hint
    assert not (Path.cwd() / "ran").exists()


def test_another_file_can_be_named(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_config(home, "User one\n")
    (tmp_path / "two").write_text("User two\n")
    assert read_settings("a").user == "one"
    monkeypatch.setenv("KEDGE_SSH_CONFIG", str(tmp_path / "two"))
    assert read_settings("a").user == "two"
    monkeypatch.setenv("KEDGE_SSH_CONFIG", "none")
    assert read_settings("a").user is None


def test_what_kedge_toml_says_wins(home: Path) -> None:
    write_config(
        home,
        "Host board\n  HostName 10.0.0.4\n  User a\n  Port 23\n  IdentityFile ~/a\n  ProxyJump x\n",
    )
    plain = route_to(Target("t", "board", KEY))
    assert [each.host for each in plain] == ["x", "10.0.0.4"]
    assert (plain[-1].user, plain[-1].port, plain[-1].identities) == ("a", 23, (home / "a",))

    key = Path("/keys/b")
    (only,) = route_to(Target("t", "b@board:22", KEY, identity=key, jump="none"))
    assert (only.host, only.user, only.port, only.identities) == ("10.0.0.4", "b", 22, (key,))
    assert only.identities_only


def test_an_alias_reaches_a_real_server(home: Path, server: LoopbackSshd, tmp_path: Path) -> None:
    text = (
        f"Host pi4\n  HostName {server.host}\n  Port {server.port}\n  User {server.user}\n"
        f'  IdentityFile "{server.identity}"\n  IdentitiesOnly yes\n'
    )
    path = write_config(home, text)
    project = tmp_path / "project"
    project.mkdir()
    env = {"HOME": str(home), "KEDGE_SSH_CONFIG": ""}
    root = str(tmp_path / "root")
    key = ["--host-key", server.host_key_fingerprint]
    ran = kedge("target", "add", "pi", "pi4", "--root", root, *key, cwd=project, env=env)

    assert ran.code == 0, ran.err
    assert f"are free for kedge at {root}" in ran.out
    assert 'address = "pi4"' in (project / "kedge.toml").read_text()
    assert kedge("target", "remove", "pi", cwd=project, env=env).code == 0
    assert path.read_text() == text
    assert sorted(os.listdir(home / ".ssh")) == ["config"]  # noqa: PTH208


def test_a_user_that_nobody_names_is_the_local_one(home: Path, server: LoopbackSshd) -> None:
    write_config(home, f"Host pi4\n  HostName {server.host}\n  Port {server.port}\n")
    with connect_ssh(replace(target_at(server), address="pi4")) as transport:
        assert transport.run("id -un", b"", 10).stdout.decode().strip() == getpass.getuser()


def test_a_user_who_has_no_name_must_be_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_name() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr("targets.ssh.route.getpass.getuser", no_name)
    assert route_to(Target("t", "pi@board", KEY))[0].user == "pi"
    with pytest.raises(AddressError, match="as which user to log in to board") as refused:
        route_to(Target("t", "board", KEY))
    assert "USER@HOST" in refused.value.hint


def test_a_proxy_command_is_the_way(home: Path, server: LoopbackSshd, tmp_path: Path) -> None:
    relay = tmp_path / "relay.py"
    relay.write_text(
        "import socket, sys, threading, os\n"
        "there = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "def up():\n"
        "    while data := os.read(0, 65536): there.sendall(data)\n"
        "threading.Thread(target=up, daemon=True).start()\n"
        "while data := there.recv(65536): os.write(1, data)\n"
    )
    write_config(
        home,
        f"Host pi4\n  HostName {server.host}\n  Port {server.port}\n"
        f"  ProxyCommand python3 '{relay}' %h %p\n",
    )
    target = replace(target_at(server), address=f"{server.user}@pi4")
    with connect_ssh(target) as transport:
        assert transport.run("cat", b"x" * 1_000_000, 20).stdout == b"x" * 1_000_000


@pytest.mark.parametrize("way", ["ProxyCommand sleep 60", "HostName 127.0.0.1"])
def test_connect_timeout_bounds_the_handshake(home: Path, way: str) -> None:
    with listening(lambda connection: None) as port:
        write_config(home, f"Host pi4\n  ConnectTimeout 1\n  Port {port}\n  {way}\n")
        began = time.monotonic()
        with pytest.raises(UnreachableError, match="no SSH handshake within 1 s"):
            connect_ssh(replace(target_on(port), address="me@pi4"))
    assert time.monotonic() - began < 15  # the usual bound is 20 s


def test_a_proxy_command_that_fails_says_why(home: Path, server: LoopbackSshd) -> None:
    write_config(home, "Host pi4\n  ProxyCommand sh -c 'echo no such relay >&2; exit 3'\n")
    with pytest.raises(UnreachableError, match="its ProxyCommand says: no such relay") as refused:
        connect_ssh(replace(target_at(server), address="pi4"))
    assert "Does the command work" in refused.value.hint


def test_a_broken_config_is_one_message(home: Path, tmp_path: Path) -> None:
    path = write_config(home, "Port many\n")
    env = {"HOME": str(home), "KEDGE_SSH_CONFIG": ""}
    ran = kedge("target", "add", "pi", "pi4", cwd=tmp_path, env=env)

    assert_refused(ran, 3, f"{path}, line 1", "Port must be")
    assert not (tmp_path / "kedge.toml").exists()


def test_a_name_for_this_computer_is_no_board(home: Path) -> None:
    write_config(home, "Host here\n  HostName 127.0.0.1\nHost behind\n  ProxyJump bastion\n")

    assert place_of(Target("pi", "pi@here", KEY)) == "this computer over SSH"
    assert place_of(Target("pi", "pi@there", KEY)) == "pi (pi@there)"
    through = Target("pi", "pi@127.0.0.1:2222", KEY, jump="me@bastion")  # the bastion's loopback
    assert place_of(through) == "pi (pi@127.0.0.1:2222)"
