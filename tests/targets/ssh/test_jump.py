"""Boards behind jump hosts, which are real servers: each is checked, and each failure is placed."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from targets.errors import TargetError
from targets.inventory import Inventory, Target
from targets.provision import open_device
from targets.ssh.config import SshConfigError
from targets.ssh.route import route_to
from targets.ssh.transport import connect_ssh, read_host_key
from targets.transport import HostKeyError, LoginRefusedError, UnreachableError
from tests.accounts import Account, dropbear
from tests.boards import require_board_parts
from tests.kedge import assert_refused, kedge
from tests.targets.loopback import start_own_sshd, target_at
from toolkit.demo.sshd import LoopbackSshd

BIG = bytes(range(256)) * 8000  # 2 MB
FORWARDS = ("AllowTcpForwarding yes",)
OTHER_KEY = "ssh-ed25519 SHA256:" + "B" * 43

pytestmark = pytest.mark.usefixtures("nothing_on_stderr", "no_thread_stays")


@pytest.fixture
def bastions(tmp_path: Path) -> Iterator[list[LoopbackSshd]]:
    """Two jump hosts."""
    require_board_parts("ssh")
    with (
        start_own_sshd(tmp_path / "outer", extra_config=FORWARDS) as outer,
        start_own_sshd(tmp_path / "inner", extra_config=FORWARDS) as inner,
    ):
        yield [outer, inner]


@pytest.fixture
def behind(server: LoopbackSshd, bastions: list[LoopbackSshd], home: Path) -> Target:
    """A board behind both, all of whose keys are pinned; the jump hosts take the usual key."""
    allow(home, *bastions)
    return replace(
        target_at(server),
        jump=",".join(bastion.address for bastion in bastions),
        jump_host_keys={known_as(bastion): pin(bastion) for bastion in bastions},
    )


def allow(home: Path, *servers: LoopbackSshd) -> None:
    """Give the servers one key, which lies where `ssh` looks for one."""
    usual = home / ".ssh/id_ed25519"
    shutil.copy(servers[0].identity, usual)
    for other in servers[1:]:
        keys = other.folder / "authorized_keys"
        public_half = servers[0].identity.with_suffix(".pub").read_text()
        keys.write_text(keys.read_text() + public_half)


def known_as(server: LoopbackSshd) -> str:
    return f"[{server.host}]:{server.port}"


def pin(server: LoopbackSshd) -> str:
    return f"{server.host_key_type} {server.host_key_fingerprint}"


def logins(server: LoopbackSshd) -> int:
    return server.log.read_text().count("Accepted publickey")


def test_two_jump_hosts_in_a_row(
    behind: Target, server: LoopbackSshd, bastions: list[LoopbackSshd]
) -> None:
    with connect_ssh(behind) as transport:
        assert transport.run("cat", BIG, 30).stdout == BIG

    assert [logins(one) for one in (*bastions, server)] == [1, 1, 1]
    assert "direct-tcpip" not in server.log.read_text()


def test_the_agent_comes_through_a_jump_host(behind: Target, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(BIG)
    target = replace(behind, root=str(tmp_path / "root"))
    with open_device(target) as device:
        assert Path(device.push(path).path).read_bytes() == BIG


def test_dropbear_is_a_jump_host(server: LoopbackSshd, home: Path, tmp_path: Path) -> None:
    with dropbear(tmp_path / "dropbear", Account(tmp_path / "box")) as box:
        shutil.copy(box.identity or "", home / ".ssh/id_ed25519")
        address = box.ssh_address
        keys = {f"[{address.host}]:{address.port}": f"{box.host_key_type} {box.host_key}"}
        target = replace(target_at(server), jump=box.address, jump_host_keys=keys)
        with connect_ssh(target) as transport:
            assert transport.run("cat", BIG, 30).stdout == BIG


def test_proxy_jump_of_the_config_with_a_way_of_its_own(
    home: Path, server: LoopbackSshd, bastions: list[LoopbackSshd], behind: Target
) -> None:
    outer, inner = bastions
    (home / ".ssh/config").write_text(
        f"Host outer\n  HostName {outer.host}\n  Port {outer.port}\n  User {outer.user}\n"
        "  ProxyJump none\n"
        f"Host inner\n  HostName {inner.host}\n  Port {inner.port}\n  ProxyJump outer\n"
        f"Host pi4\n  HostName {server.host}\n  Port {server.port}\n"
        f'  IdentityFile "{server.identity}"\n'
        "Host *\n  ProxyJump inner\n"
    )
    target = replace(behind, address="pi4", identity=None, jump=None)

    assert [each.port for each in route_to(target)] == [outer.port, inner.port, server.port]
    with connect_ssh(target) as transport:
        assert transport.run("echo there", b"", 10).stdout == b"there\n"
    assert [logins(one) for one in (outer, inner, server)] == [1, 1, 1]

    with connect_ssh(replace(target, jump="none")) as transport:
        transport.run("exit 0", b"", 10)
    assert [logins(one) for one in (outer, inner, server)] == [1, 1, 2]


def test_a_jump_host_for_all_hosts_is_reached_directly(home: Path) -> None:
    (home / ".ssh/config").write_text("Host *\n  ProxyJump me@bastion\n")
    servers = route_to(Target("board", "pi@there", OTHER_KEY))

    assert [(each.user, each.host) for each in servers] == [("me", "bastion"), ("pi", "there")]


def test_a_circle_of_jump_hosts_is_named(home: Path) -> None:
    (home / ".ssh/config").write_text("Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n")
    with pytest.raises(SshConfigError, match="lead in a circle"):
        route_to(Target("board", "pi@a", OTHER_KEY))


# Host keys.


def test_another_key_of_a_jump_host_is_refused(
    behind: Target, server: LoopbackSshd, bastions: list[LoopbackSshd]
) -> None:
    outer, inner = bastions
    wrong = {**behind.jump_host_keys, known_as(inner): OTHER_KEY}
    with pytest.raises(HostKeyError, match="the jump host 127.0.0.1 has changed") as refused:
        connect_ssh(replace(behind, jump_host_keys=wrong))

    assert inner.host_key_fingerprint in str(refused.value)
    assert "jump_host_keys in kedge.toml" in refused.value.hint
    assert [logins(one) for one in (outer, inner, server)] == [1, 0, 0]


def test_a_jump_host_that_nobody_knows_is_refused(
    behind: Target, bastions: list[LoopbackSshd]
) -> None:
    with pytest.raises(HostKeyError, match="the jump host 127.0.0.1 is not known") as refused:
        connect_ssh(replace(behind, jump_host_keys={}))

    assert "known_hosts" in refused.value.hint
    assert logins(bastions[0]) == 0


def test_known_hosts_is_enough_for_a_jump_host(
    behind: Target, bastions: list[LoopbackSshd], home: Path
) -> None:
    lines = [bastion.known_hosts for bastion in bastions]
    (home / ".ssh/known_hosts").write_text("# mine\nbroken line\n" + "".join(lines))
    with connect_ssh(replace(behind, jump_host_keys={})) as transport:
        assert transport.run("exit 0", b"", 10).exit_code == 0

    with bastions[1].restart(new_host_key=True), pytest.raises(HostKeyError) as refused:
        connect_ssh(replace(behind, jump_host_keys={}))
    assert f"ssh-keygen -R '{known_as(bastions[1])}'" in refused.value.hint


# Which server it was.


def failure(target: Target) -> TargetError:
    with pytest.raises(TargetError) as failed:
        connect_ssh(target)
    assert failed.value.hint
    return failed.value


def test_a_jump_host_that_is_down(behind: Target, bastions: list[LoopbackSshd]) -> None:
    outer, inner = bastions
    inner.stop()
    failed = failure(behind)
    assert isinstance(failed, UnreachableError)
    assert f"cannot connect to the jump host 127.0.0.1 (127.0.0.1 port {inner.port})" in str(failed)

    outer.stop()
    failed = failure(behind)
    assert str(failed).startswith("cannot connect to the jump host 127.0.0.1")
    assert f"port {outer.port}" in str(failed)


def test_a_board_that_is_down(behind: Target, server: LoopbackSshd) -> None:
    server.stop()
    failed = failure(behind)

    assert isinstance(failed, UnreachableError)
    assert f"the jump host 127.0.0.1 cannot connect to 127.0.0.1 port {server.port}" in str(failed)


def test_a_jump_host_that_refuses_the_login(behind: Target, bastions: list[LoopbackSshd]) -> None:
    (bastions[1].folder / "authorized_keys").write_text("")
    failed = failure(behind)

    assert isinstance(failed, LoginRefusedError)
    assert "the jump host 127.0.0.1 refused the login" in str(failed)
    assert f"-p {bastions[1].port}" in failed.hint


def test_a_jump_host_that_does_not_forward(
    server: LoopbackSshd, home: Path, tmp_path: Path
) -> None:
    with start_own_sshd(tmp_path / "closed") as closed:
        allow(home, closed)
        keys = {known_as(closed): pin(closed)}
        failed = failure(replace(target_at(server), jump=closed.address, jump_host_keys=keys))

    assert "the jump host 127.0.0.1 does not forward connections" in str(failed)
    assert "AllowTcpForwarding" in failed.hint


def test_a_jump_host_that_goes_away_ends_the_command(
    behind: Target, bastions: list[LoopbackSshd]
) -> None:
    with connect_ssh(behind) as transport:
        channel = transport.open("echo on; exec sleep 67")
        assert channel.read(3, 5) == b"on\n"
        bastions[0].stop()
        with pytest.raises(UnreachableError):
            transport.run("exit 0", b"", 5)
        channel.close()


# kedge target add.


def test_a_board_is_added_through_jump_hosts(
    behind: Target, bastions: list[LoopbackSshd], home: Path, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    add = ["target", "add", "far", behind.address, "--jump", behind.jump or ""]
    add += ["--identity", str(behind.identity), "--root", str(tmp_path / "root")]
    env = {"HOME": str(home)}

    nobody = kedge(*add, "--host-key", behind.host_key or "", cwd=project, env=env)
    assert_refused_host_key(nobody.code, nobody.err)
    assert not (project / "kedge.toml").exists()

    ran = kedge(*add, cwd=project, env=env, stdin="y\ny\ny\n")
    assert ran.code == 0, ran.err
    assert ran.err.count("shows the host key") == 3
    added = Inventory(project / "kedge.toml").get("far")
    assert added.jump == behind.jump
    assert added.jump_host_keys == behind.jump_host_keys
    assert added.host_key == behind.host_key
    assert kedge("target", "remove", "far", cwd=project, env=env).code == 0


def assert_refused_host_key(code: int, said: str) -> None:
    assert code == 2
    assert "Compare it on the jump host 127.0.0.1: ssh-keygen" in said
    assert "nobody is there to accept the host key of the jump host 127.0.0.1" in said
    assert "known_hosts" in said


def test_jump_hosts_that_ssh_knows_are_not_asked_about(
    behind: Target, bastions: list[LoopbackSshd], home: Path, tmp_path: Path
) -> None:
    lines = [bastion.known_hosts for bastion in bastions]
    (home / ".ssh/known_hosts").write_text("".join(lines))
    add = ["target", "add", "far", behind.address, "--jump", behind.jump or ""]
    add += ["--identity", str(behind.identity), "--root", str(tmp_path / "root")]
    add += ["--host-key", behind.host_key or ""]
    ran = kedge(*add, cwd=tmp_path, env={"HOME": str(home)})

    assert ran.code == 0, ran.err
    added = Inventory(tmp_path / "kedge.toml").get("far")
    assert added.jump_host_keys == behind.jump_host_keys


def test_the_key_of_a_board_is_read_through_its_jump_hosts(
    behind: Target, server: LoopbackSshd
) -> None:
    shown = read_host_key(route_to(behind))

    assert shown.fingerprint == server.host_key_fingerprint
    assert logins(server) == 0


def test_jump_hosts_need_an_address(tmp_path: Path) -> None:
    ran = kedge("target", "add", "a", "pi@board", "--jump", "a b", cwd=tmp_path)
    assert_refused(ran, 3, "'a b' names no jump host")

    ran = kedge("target", "add", "a", "local", "--jump", "me@b", cwd=tmp_path)
    assert_refused(ran, 3, "without SSH")
