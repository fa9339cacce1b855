"""Addresses by a strict form: a shared `kedge.toml` brings nothing into a user's ProxyCommand."""

from pathlib import Path

import pytest

from targets.address import Address, AddressError, parse_address, parse_jump
from targets.entry_checks import InventoryError
from targets.inventory import Inventory, Target
from targets.ssh.route import route_to
from tests.kedge import assert_refused, kedge

KEY = "SHA256:" + "A" * 43

HOSTILE = [
    "pi@$(id>${IFS}mark)",
    "pi@`id`",
    "pi@a;id",
    "pi@a|id",
    "pi@a&id",
    "pi@a>mark",
    "pi@a'b",
    'pi@a"b',
    "pi@a\\b",
    "pi@a*",
    "pi@a{b}",
    "pi@~root",
    "pi@a/b",
    "pi@a\x1b",
    "pi@bücher",
    "pi@[-oProxyCommand=x]",
    "pi@[::1;id]",
    "pi@-oX",
    "$(id)@board",
    "`id`@board",
    "a;id@board",
    "a|id@board",
    "a>b@board",
    "a'b@board",
    'a"b@board',
    "a#b@board",
    "a\\@board",
    "-oProxyCommand=id@board",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_sign_of_the_shell_is_no_part_of_an_address(text: str) -> None:
    with pytest.raises(AddressError, match="is not the address of a board") as refused:
        parse_address(text)
    assert refused.value.exit_code == 3
    assert "letters, digits and . _ -" in refused.value.hint
    with pytest.raises(AddressError, match="names no jump host") as refused:
        parse_jump(f"bastion,{text}")
    assert refused.value.exit_code == 3
    assert "letters, digits and . _ -" in refused.value.hint


@pytest.mark.parametrize(
    "user", ["first.last", "pi_2", "a-b", "jürgen", "LAB\\pi", "me+lab", "_apt"]
)
def test_usual_users(user: str) -> None:
    assert parse_address(f"{user}@board") == Address(user, "board")


@pytest.mark.parametrize("zone", ["br-lan", "eth0.100", "wlx00c0ca", "3"])
def test_a_zone_may_have_dashes_and_dots(zone: str) -> None:
    assert parse_address(f"root@[fe80::1%{zone}]:22") == Address("root", f"fe80::1%{zone}", 22)
    assert parse_jump(f"[fe80::1%{zone}]") == (Address(None, f"fe80::1%{zone}"),)


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("::1", "[::1]"),
        ("root@fe80::1%eth0", "root@[fe80::1%eth0]"),
        ("root@fe80::1%br-lan", "root@[fe80::1%br-lan]"),
        ("2001:db8::7", "[2001:db8::7]"),
    ],
)
def test_the_brackets_of_an_ipv6_address_are_named(text: str, spelling: str) -> None:
    with pytest.raises(AddressError) as refused:
        parse_address(text)
    assert f"Write {spelling}:" in refused.value.hint
    with pytest.raises(AddressError) as refused:
        parse_jump(f"bastion,{text}")
    assert f"Write {spelling}:" in refused.value.hint


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("key", ["address", "jump"])
def test_a_shared_file_runs_nothing_through_a_proxy_command(
    home: Path, tmp_path: Path, key: str
) -> None:
    (home / ".ssh/config").write_text("Host *\n  ProxyCommand echo %h %r\n")
    mark = tmp_path / "mark"
    hostile = f"pi@$(touch${{IFS}}{mark})"
    values = {"address": "pi@board", "jump": "none", key: hostile}
    lines = "".join(f'{name} = "{value}"\n' for name, value in values.items())
    file = tmp_path / "kedge.toml"
    file.write_text(f'[targets.pi]\n{lines}host_key = "{KEY}"\n')

    with pytest.raises(InventoryError, match=key):
        Inventory(file).get("pi")
    target = Target("pi", values["address"], KEY, jump=values["jump"])
    with pytest.raises(AddressError):
        route_to(target)
    env = {"HOME": str(home), "KEDGE_SSH_CONFIG": ""}
    ran = kedge("target", "check", "pi", cwd=tmp_path, env=env)
    assert_refused(ran, 3, key, "USER@HOST")
    assert not mark.exists()


def test_an_argument_is_held_to_the_form(tmp_path: Path) -> None:
    ran = kedge("target", "add", "pi", "pi@$(id)", "--host-key", KEY, cwd=tmp_path)
    assert_refused(ran, 3, "is not the address of a board", "USER@HOST")
    ran = kedge("target", "add", "pi", "pi@b", "--jump", "a;id", "--host-key", KEY, cwd=tmp_path)
    assert_refused(ran, 3, "names no jump host", "USER@HOST")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("board", Address(None, "board")),
        ("board:23", Address(None, "board", 23)),
        ("pi@board", Address("pi", "board")),
        ("pi@board:2222", Address("pi", "board", 2222)),
        ("pi@10.0.0.7:1", Address("pi", "10.0.0.7", 1)),
        ("pi@[fe80::1%eth0]:22", Address("pi", "fe80::1%eth0", 22)),
        ("pi@[::1]", Address("pi", "::1")),
        ("first.last@host.example.org", Address("first.last", "host.example.org")),
    ],
)
def test_an_address(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-oProxyCommand=x",
        "a,b",
        "@board",
        "pi@",
        "pi@board:",
        "pi@board:0",
        "pi@board:65536",
        "pi@board:-1",
        "pi@board:22x",
        "pi@board:" + "1" * 5000,
        "pi@::1",
        "pi@[::1",
        "pi@bo ard",
        "pi:secret@board",
        "pi@board\n",
        "pi@board:\u0662\u0662",
        "http://pi@board",
    ],
)
def test_what_is_no_address_says_how_one_looks(text: str) -> None:
    with pytest.raises(AddressError, match="is not the address of a board") as refused:
        parse_address(text)
    assert "USER@HOST:PORT" in refused.value.hint
    assert refused.value.exit_code == 3


@pytest.mark.parametrize("port", ["0", "65536", "99999"])
def test_what_is_no_port_says_which_ports_are(port: str) -> None:
    with pytest.raises(AddressError) as refused:
        parse_address(f"pi@board:{port}")
    assert f"a PORT from 1 to 65535, not {port}" in refused.value.hint


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("none", ()),
        ("me@bastion", (Address("me", "bastion"),)),
        ("a, ssh://me@b:23", (Address(None, "a"), Address("me", "b", 23))),
    ],
)
def test_jump_hosts(text: str, addresses: tuple[Address, ...]) -> None:
    assert parse_jump(text) == addresses


@pytest.mark.parametrize("text", ["", "a,,b", "a b", "me@"])
def test_what_names_no_jump_host(text: str) -> None:
    with pytest.raises(AddressError, match="names no jump host"):
        parse_jump(text)
