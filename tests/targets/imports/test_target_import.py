"""Boards of a list become targets, all or none; a wrong row is named by its line."""

import base64
import hashlib
import hmac
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from targets.errors import TargetError
from targets.imports.ansible import expand_ranges
from targets.imports.formats import ANSIBLE_INI, ANSIBLE_YAML, CSV, recognise_form
from targets.imports.row import TargetListError
from targets.imports.target_list import TargetRowsError
from targets.inventory import Inventory, Target
from toolkit.enrollment import enroll_list

Import = Callable[..., dict[str, Target]]


def public_key(seed: str) -> str:
    """The Base64 text of an Ed25519 key."""
    blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + hashlib.sha256(seed.encode()).digest()
    return base64.b64encode(blob).decode()


def fingerprint(seed: str) -> str:
    digest = hashlib.sha256(base64.b64decode(public_key(seed))).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def known_hosts(folder: Path, names: Sequence[str], is_hashed: bool = False) -> Path:
    """A file with the key of each name; the name is its seed."""
    path = folder / "known_hosts"
    lines = []
    for name in names:
        shown = name
        if is_hashed:
            salt = os.urandom(20)
            digest = hmac.digest(salt, name.encode(), "sha1")
            shown = f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"
        lines.append(f"{shown} ssh-ed25519 {public_key(name)}\n")
    path.write_text("".join(lines))
    return path


@pytest.fixture
def import_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Import:
    """A function that imports a text; the keys of all hosts that it names are known."""
    monkeypatch.setenv("KEDGE_SSH_CONFIG", "none")
    (tmp_path / "kedge.toml").touch()

    def run(
        text: str, name: str, hosts: Sequence[str] = (), **options: object
    ) -> dict[str, Target]:
        path = tmp_path / name
        path.write_text(text)
        keys = known_hosts(tmp_path, hosts)
        enroll_list(path, keys, start=tmp_path, **options)  # type: ignore[arg-type]
        return dict(Inventory(tmp_path / "kedge.toml").targets)

    return run


def test_csv_columns_are_fields_and_labels(import_list: Import) -> None:
    text = "name,address,board,site,label.room,host_key,jump\r\n# no comment,x,,,,,\r\n"
    with pytest.raises(TargetRowsError, match="line 2: # no comment"):
        import_list(text, "boards.csv")
    text = (
        "name,address,board,site,label.room,host_key,jump\r\n"
        "door,pi@door:2222,raspberry-pi-4,berlin,hall,,\r\n"
        "\r\n"
        f'gate,gate,,"berlin, north",,{fingerprint("x")},me@bastion\r\n'
    )
    targets = import_list(text, "boards.csv", ["[door]:2222"])
    door, gate = targets["door"], targets["gate"]
    assert (door.address, door.board) == ("pi@door:2222", "raspberry-pi-4")
    assert dict(door.labels) == {"site": "berlin", "room": "hall"}
    assert (door.host_key, door.host_key_type) == (fingerprint("[door]:2222"), "ssh-ed25519")
    assert (gate.host_key, gate.jump) == (fingerprint("x"), "me@bastion")
    assert dict(gate.labels) == {"site": "berlin, north"}


def test_a_spreadsheet_may_write_semicolons_and_a_byte_order_mark(import_list: Import) -> None:
    targets = import_list("\ufeffname;address\ndoor;pi@door\n", "boards.csv", ["door"])
    assert targets["door"].address == "pi@door"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1: the header lacks name and address"),
        ("name,adress\nx,y\n", "line 1: the header lacks address; it has: name, adress"),
        ("name,address,name\n", "line 1: the column 'name' has no name or stands twice"),
        ("name,address\na,b,c\n", "line 2: has 3 cells, the header has 2"),
        ('name,address\n"a,b\n', "line"),
    ],
)
def test_a_csv_of_another_form_is_refused(import_list: Import, text: str, words: str) -> None:
    with pytest.raises(TargetListError, match=words) as refusal:
        import_list(text, "boards.csv")
    assert refusal.value.hint
    assert refusal.value.exit_code == 3


INI = """
# the farm
lonely ansible_connection=local
[doors]
door[01:03] ansible_user=pi
north ansible_host=10.0.0.7 ansible_port=2222 ansible_user=admin   # a comment
[gates]
gate ansible_host=gate.farm kedge_board=raspberry-pi-4 ansible_ssh_pass=never-kept
[farm:children]
doors
gates
[farm:vars]
ansible_user = farmer
ansible_ssh_common_args = '-o ProxyJump="me@bastion" -o StrictHostKeyChecking=no'
[gates:vars]
ansible_ssh_private_key_file=~/.ssh/gates
"""

YAML = """
all:
  hosts:
    lonely: {ansible_connection: local}
  children:
    farm:
      vars: {ansible_user: farmer, ansible_ssh_common_args: '-J me@bastion', list: [1, 2]}
      children:
        doors:
          hosts:
            door[01:03]: {ansible_user: pi}
            north:
              ansible_host: 10.0.0.7
              ansible_port: 2222
              ansible_user: admin
        gates:
          vars: {ansible_ssh_private_key_file: ~/.ssh/gates}
          hosts:
            gate:
              ansible_host: gate.farm
              kedge_board: raspberry-pi-4
              ansible_ssh_pass: !vault never-kept
"""

HOSTS = ["door01", "door02", "door03", "[10.0.0.7]:2222", "gate.farm"]


@pytest.mark.parametrize(("text", "name"), [(INI, "hosts"), (YAML, "inventory.yml")])
def test_an_ansible_inventory_says_who_and_how(
    import_list: Import, text: str, name: str, tmp_path: Path
) -> None:
    targets = import_list(text, name, HOSTS)
    assert set(targets) == {"lonely", "door01", "door02", "door03", "north", "gate"}
    assert targets["lonely"].is_local
    assert dict(targets["lonely"].labels) == {}
    assert targets["door02"].address == "pi@door02"
    assert dict(targets["door02"].labels) == {"doors": "yes", "farm": "yes"}
    assert targets["north"].address == "admin@10.0.0.7:2222"
    gate = targets["gate"]
    assert (gate.address, gate.board) == ("farmer@gate.farm", "raspberry-pi-4")
    assert (gate.identity, gate.jump) == (Path("~/.ssh/gates"), "me@bastion")
    assert "never-kept" not in (tmp_path / "kedge.toml").read_text()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("hosts", "[doors\na\n", r"line 1: expected \[GROUP\]"),
        ("hosts", "[doors]\na b\n", "line 2: expected KEY=VALUE, found 'b'"),
        ("hosts", "[doors]\na x='y\n", "line 2: No closing quotation"),
        ("hosts", "[doors]\nd[9:1]\n", "line 2: no range"),
        ("hosts", "[doors]\nd[0:99999][0:99999]\n", "line 2: a range of more than"),
        ("hosts", "[a:children]\nb\n[b:children]\na\n", "groups contain each other"),
        ("i.yml", "all:\n  hosts: [a, b]\n", "line 2: expected entries"),
        ("i.yml", "all:\n  host: {a: }\n", "line 2: expected hosts, vars or children"),
        ("i.yml", "all:\n\thosts: x\n", "line 2: is no YAML"),
        ("i.yml", "all: {" * 200, "is no YAML|deep"),
        ("i.yml", "a: &a\n  children:\n    b: *a\n", "line|deep|contain"),
        ("i.yml", "!!python/object/apply:os.system ['true']\n", "expected entries"),
    ],
)
def test_an_inventory_of_another_form_is_refused(
    import_list: Import, name: str, text: str, words: str
) -> None:
    with pytest.raises(TargetListError, match=words) as refusal:
        import_list(text, name)
    assert refusal.value.hint


def test_every_row_is_checked_before_any_is_written(import_list: Import, tmp_path: Path) -> None:
    text = "\n".join(
        [
            "name,address,board,root",
            "good,pi@good,,",
            "good,pi@other,,",
            "twin,pi@good,,",
            "bad name,pi@good2,,",
            "nowhere,pi@no where,,",
            "unknown,pi@unknown,,",
            "odd,pi@good3,raspberry-pi-99,",
            "loose,pi@good4,,relative",
            "jinja,{{ host }},,",
        ]
    )
    with pytest.raises(TargetRowsError) as refusal:
        import_list(text, "boards.csv", ["good", "other", "good2", "good3", "good4"])
    reasons = {problem.line: problem.reason for problem in refusal.value.problems}
    assert "the name good stands in line 2 already" in reasons[3]
    assert "the address pi@good stands in line 2 already" in reasons[4]
    assert "is not a name" in reasons[5]
    assert "address" in reasons[6]
    assert "no host key of unknown is known" in reasons[7]
    assert "raspberry-pi-99" in reasons[8]
    assert "root must be" in reasons[9]
    assert "plain value" in reasons[10]
    assert "8 of 9 rows are not right; nothing was written" in str(refusal.value)
    assert (tmp_path / "kedge.toml").read_text() == ""


def test_a_second_import_adds_what_is_new_only(import_list: Import, tmp_path: Path) -> None:
    text = "name,address,site\na,pi@a,x\n"
    import_list(text, "boards.csv", ["a"])
    Inventory(tmp_path / "kedge.toml").change("a", {"hooks": True, "board": "raspberry-pi-4"})
    targets = import_list(text + "b,pi@b,y\n", "boards.csv", ["a", "b"])
    assert list(targets) == ["a", "b"]
    assert targets["a"].hooks
    import_list(text, "boards.csv")  # what is pinned needs no known_hosts any more
    with pytest.raises(TargetRowsError, match="line 2: a: .*with another labels"):
        import_list(text.replace(",x", ",z"), "boards.csv", ["a"])


def test_a_name_cannot_pass_for_another_line(import_list: Import) -> None:
    text = 'name,address\n"a\n  line 7: fine",pi@a\n'
    with pytest.raises(TargetRowsError) as refusal:
        import_list(text, "boards.csv", ["a"])
    assert "line 7: fine" not in str(refusal.value).splitlines()[-1].lstrip()[:12]
    assert len(str(refusal.value).splitlines()) == 2


def test_nothing_is_written_in_a_dry_run(import_list: Import, tmp_path: Path) -> None:
    assert import_list("name,address\na,pi@a\n", "boards.csv", ["a"], dry_run=True) == {}
    assert (tmp_path / "kedge.toml").read_text() == ""


def test_a_revoked_key_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEDGE_SSH_CONFIG", "none")
    keys = known_hosts(tmp_path, ["a"])
    keys.write_text(keys.read_text() + f"@revoked * ssh-ed25519 {public_key('a')}\n")
    path = tmp_path / "boards.csv"
    path.write_text("name,address\na,pi@a\n")
    with pytest.raises(TargetRowsError, match="is revoked"):
        enroll_list(path, keys, start=tmp_path)


def test_files_of_ssh_keygen_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEDGE_SSH_CONFIG", "none")
    names = ["a", "[b]:2222"]
    keys = known_hosts(tmp_path, names)
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(keys)], check=True, capture_output=True)
    assert "|1|" in keys.read_text()
    path = tmp_path / "boards.csv"
    path.write_text("name,address\na,pi@A\nb,pi@b:2222\n")
    targets = enroll_list(path, keys, start=tmp_path).added
    assert [target.host_key for target in targets] == [fingerprint(name) for name in names]


@pytest.mark.parametrize("is_hashed", [False, True])
def test_a_thousand_rows_take_seconds(
    tmp_path: Path, is_hashed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEDGE_SSH_CONFIG", "none")
    hosts = [f"10.0.{n // 250}.{n % 250}" for n in range(1000)]
    keys = known_hosts(tmp_path, hosts, is_hashed)
    path = tmp_path / "boards.csv"
    rows = [f"b{n:04},pi@{host},s{n % 7}" for n, host in enumerate(hosts)]
    path.write_text("\n".join(["name,address,site", *rows]))
    began_s = time.process_time()
    assert len(enroll_list(path, keys, start=tmp_path).added) == 1000
    assert time.process_time() - began_s < 20  # 1 s on an idle computer; squares take minutes
    assert len(Inventory(tmp_path / "kedge.toml").targets) == 1000


def test_ranges_are_those_of_ansible() -> None:
    assert expand_ranges("b[08:10].x") == ["b08.x", "b09.x", "b10.x"]
    assert expand_ranges("[a:c]1") == ["a1", "b1", "c1"]
    assert expand_ranges("b[1:5:2]") == ["b1", "b3", "b5"]
    assert expand_ranges("b[1:2]c[1:2]") == ["b1c1", "b1c2", "b2c1", "b2c2"]


@pytest.mark.parametrize("last", ["300000", "9" * 10, "9" * 20, "9" * 5000])
def test_a_range_of_too_many_hosts_is_refused_by_a_sentence(last: str) -> None:
    with pytest.raises(ValueError, match=r"a range of more than|a number of more than 9 digits"):
        expand_ranges(f"b[1:{last}]")


def test_digits_of_other_scripts_make_no_range() -> None:
    assert expand_ranges("b[²:³]") == ["b[²:³]"]
    assert expand_ranges("b[1:3:²]") == ["b[1:3:²]"]


@pytest.mark.parametrize(
    ("name", "text", "form"),
    [
        ("x.csv", "anything", CSV),
        ("hosts", "# c\nname,address\n", CSV),
        ("hosts", "all:\n  hosts:\n", ANSIBLE_YAML),
        ("hosts", "---\nall:\n", ANSIBLE_YAML),
        ("hosts", "[web]\na\n", ANSIBLE_INI),
        ("hosts", "a.b ansible_host=x\n", ANSIBLE_INI),
    ],
)
def test_the_form_is_recognised(name: str, text: str, form: str) -> None:
    assert recognise_form(Path(name), text) == form


@pytest.mark.parametrize("content", [b"\xff\xfe", b"PK\x03\x04\0\0", b"\0" * 10])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "boards.csv"
    path.write_bytes(content)
    with pytest.raises(TargetError, match=r"boards\.csv"):
        enroll_list(path, start=tmp_path)
    with pytest.raises(TargetError, match="cannot be read"):
        enroll_list(tmp_path / "gone.csv", start=tmp_path)
    with pytest.raises(TargetError, match="no such file"):
        enroll_list(path, tmp_path / "gone", start=tmp_path)
