"""`kedge.toml`: the user's file, which survives every edit and every mistake in it."""

import os
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from targets import file_edit
from targets.entry_checks import InventoryError
from targets.inventory import Inventory, Target

KEY = "SHA256:" + "A" * 43
PI = Target(
    "pi",
    "pi@board:2222",
    KEY,
    "ssh-ed25519",
    Path("/keys/id"),
    "/data/kedge",
    {"a": "b"},
    "me@bastion:23",
    {"[bastion]:23": f"ssh-ed25519 {KEY}"},
)
HERE = Target("here", "local")
WRITTEN = f"""\
# my boards

[other]   # not ours
b = 1
a = 2

[targets.zero]  # the first
address = "pi@zero"
host_key = "{KEY}"  # checked on the label

# the second
[targets.alpha]
address = "local"
"""


def file_in(folder: Path, text: str) -> Inventory:
    path = folder / "kedge.toml"
    path.write_text(text)
    return Inventory(path)


def refusal(folder: Path, text: str) -> InventoryError:
    with pytest.raises(InventoryError) as refused:
        _ = file_in(folder, text).targets
    assert refused.value.exit_code == 3
    assert str(folder / "kedge.toml") in str(refused.value)
    return refused.value


def test_what_is_written_is_read(tmp_path: Path) -> None:
    inventory = Inventory(tmp_path / "kedge.toml")
    for target in (PI, HERE):
        inventory.add(target)

    assert Inventory(inventory.path).targets == {"pi": PI, "here": HERE}
    assert os.listdir(tmp_path) == ["kedge.toml"]  # noqa: PTH208


def test_comments_and_order_survive(tmp_path: Path) -> None:
    inventory = file_in(tmp_path, WRITTEN)
    inventory.add(PI)
    inventory.remove("pi")

    assert inventory.path.read_text().rstrip() == WRITTEN.rstrip()

    inventory.add(HERE)
    text = inventory.path.read_text()
    assert text.startswith(WRITTEN)
    assert list(Inventory(inventory.path).targets) == ["zero", "alpha", "here"]

    Inventory(inventory.path).remove("zero")
    text = inventory.path.read_text()
    assert "# my boards\n\n[other]   # not ours\nb = 1\na = 2\n" in text
    assert "zero" not in text
    assert list(Inventory(inventory.path).targets) == ["alpha", "here"]


def test_several_targets_are_written_at_once_or_not_at_all(tmp_path: Path) -> None:
    inventory = file_in(tmp_path, WRITTEN)
    boards = [replace(PI, name=f"board{number}", hooks=True) for number in range(3)]
    with pytest.raises(InventoryError, match="board1"):
        inventory.add_all([*boards, replace(HERE, name="board1")])
    assert inventory.path.read_text() == WRITTEN
    inventory.add_all(boards)
    assert list(Inventory(inventory.path).targets.values())[-3:] == boards
    assert inventory.path.read_text().startswith(WRITTEN)


def test_line_ends_survive(tmp_path: Path) -> None:
    path = tmp_path / "kedge.toml"
    path.write_bytes(b'# mine\r\n[targets.a]\r\naddress = "local"\r\n')
    Inventory(path).add(HERE)

    assert path.read_bytes().startswith(b'# mine\r\n[targets.a]\r\naddress = "local"\r\n')


@pytest.mark.parametrize(
    "text",
    [
        "targets = {}\n",
        "[targets]\n",
        'targets.a.address = "local"\n',
        '[targets]\na = {address = "local"}\n',
        '[targets.a]\naddress = "local"\n[x]\ny = 1\n[targets.b]\naddress = "local"\n',
        'targets = {a = {address = "local"}}\n',
    ],
)
def test_every_way_to_write_a_table_can_be_edited(tmp_path: Path, text: str) -> None:
    inventory = file_in(tmp_path, text)
    before = dict(inventory.targets)
    inventory.add(PI)

    assert Inventory(inventory.path).targets == {**before, "pi": PI}

    for name in before:
        Inventory(inventory.path).remove(name)
    assert Inventory(inventory.path).targets == {"pi": PI}


def test_a_file_that_an_edit_would_damage_is_left_alone(tmp_path: Path) -> None:
    text = 'targets.b.address = "local"\naddress = "not ours"\n'
    inventory = file_in(tmp_path, text)

    with pytest.raises(InventoryError, match="in a way that kedge cannot edit") as refused:
        inventory.rename("b", "c")
    assert "[targets.NAME]" in refused.value.hint
    assert inventory.path.read_text() == text


@pytest.mark.parametrize(
    ("entry", "key", "found"),
    [
        ("address = 7", "address", "7"),
        ('address = "no where"', "address", "'no where'"),
        ('address = "pi@board:99999"', "address", "'pi@board:99999'"),
        ('address = "pi@board"', "host_key", "None"),
        ('address = "pi@board"\nhost_key = "MD5:aa"', "host_key", "'MD5:aa'"),
        (
            f'address = "pi@board"\nhost_key = "{KEY}"\nhost_key_type = "dsa"',
            "host_key_type",
            "'dsa'",
        ),
        ('address = "local"\nroot = "kedge"', "root", "'kedge'"),
        ('address = "local"\nroot = "~pi/kedge"', "root", "'~pi/kedge'"),
        ('address = "local"\nroot = "/a\\nb"', "root", "'/a\\nb'"),
        ('address = "local"\nroot = ["/"]', "root", "['/']"),
        ('address = "local"\nlabels = "x"', "labels", ""),
        ('address = "local"\nhooks = "yes"', "hooks must be true or false", "'yes'"),
        ('address = "local"\njump = "a b"', "jump", "'a b'"),
        ('address = "local"\njump_host_keys = "x"', "jump_host_keys", ""),
        (f'address = "local"\njump_host_keys = {{a = "{KEY}"}}', "jump_host_keys", KEY),
        ('address = "local"\npassword = "x"', "'password'", ""),
        ("", "address", ""),
    ],
)
def test_a_malformed_entry_is_named(tmp_path: Path, entry: str, key: str, found: str) -> None:
    refused = refusal(tmp_path, f'[targets.ok]\naddress = "local"\n[targets.pi]\n{entry}\n')

    assert "[targets.pi]" in str(refused)
    assert key in str(refused)
    assert found in str(refused)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[targets", "is not valid TOML: it ends in the middle of a value"),
        ("targets = [\n", "is not valid TOML: it ends in the middle of a value"),
        ("[a]\n[a]\n", "is not valid TOML"),
        ("targets = 7\n", "[targets] must be a table"),
        ("targets = []\n", "[targets] must be a table"),
        ("[targets]\npi = 7\n", "[targets.pi] must be a table"),
    ],
)
def test_a_malformed_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    assert said in str(refusal(tmp_path, text))


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a = \x00"])
def test_a_file_of_bytes_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "kedge.toml").write_bytes(content)

    with pytest.raises(InventoryError, match="is not valid TOML") as refused:
        Inventory(tmp_path / "kedge.toml")
    assert refused.value.hint


def test_a_folder_of_that_name_is_named(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match="cannot read .*Is a directory"):
        Inventory(tmp_path)


def test_an_unknown_target_names_the_known(tmp_path: Path) -> None:
    inventory = file_in(tmp_path, WRITTEN)
    for act in (inventory.get, inventory.remove):
        with pytest.raises(InventoryError, match="there are: zero, alpha") as refused:
            act("beta")
        assert "kedge target add beta" in refused.value.hint
    assert inventory.path.read_text() == WRITTEN


@pytest.mark.parametrize("name", ["", "a b", "-a", "a/b", "ü", "a" * 64, "a\n", "[x]"])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    inventory = file_in(tmp_path, WRITTEN)

    with pytest.raises(InventoryError, match="is not a name for a target"):
        inventory.add(replace(HERE, name=name))
    assert inventory.path.read_text() == WRITTEN


def test_a_taken_name_is_refused(tmp_path: Path) -> None:
    inventory = file_in(tmp_path, WRITTEN)

    with pytest.raises(InventoryError, match="is already in") as refused:
        inventory.add(replace(HERE, name="zero"))
    assert "kedge target remove zero" in refused.value.hint
    assert inventory.path.read_text() == WRITTEN


@pytest.mark.parametrize(
    "target",
    [replace(PI, host_key=None), replace(HERE, root="kedge"), replace(PI, host_key_type="rsa")],
)
def test_nothing_is_written_that_could_not_be_read(tmp_path: Path, target: Target) -> None:
    inventory = file_in(tmp_path, WRITTEN)

    with pytest.raises(InventoryError):
        inventory.add(target)
    assert inventory.path.read_text() == WRITTEN


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory = file_in(tmp_path, WRITTEN)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InventoryError, match="cannot write .*No space left") as refused:
        inventory.add(HERE)

    assert refused.value.exit_code == 3
    assert inventory.path.read_text() == WRITTEN
    assert [path.name for path in tmp_path.iterdir()] == ["kedge.toml"]


def test_an_interrupted_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory = file_in(tmp_path, WRITTEN)

    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        inventory.add(HERE)

    assert inventory.path.read_text() == WRITTEN
    assert [path.name for path in tmp_path.iterdir()] == ["kedge.toml"]


def test_the_file_of_a_killed_write_is_removed_at_the_next_edit(tmp_path: Path) -> None:
    old, new, lock = (tmp_path / f".kedge-{name}" for name in ("abcd_123", "efgh4567", "lock"))
    for path in (old, new, lock):
        path.write_text("half")
    for path in (old, lock):
        os.utime(path, (1, 1))
    inventory = file_in(tmp_path, WRITTEN)
    inventory.add(PI)
    assert not old.exists(), "nobody writes it any more"
    assert new.exists(), "another process may be writing it"
    assert lock.exists(), "it is no temporary file"


def test_who_edits_at_the_same_time_loses_nothing_of_the_other(tmp_path: Path) -> None:
    path = file_in(tmp_path, WRITTEN).path
    programs = [Inventory(path) for _ in range(12)]  # all have read it before any has written
    tuned = replace(HERE, name="alpha").execution
    edits = [
        threading.Thread(target=program.add, args=(replace(HERE, name=f"board{number}"),))
        for number, program in enumerate(programs[:10])
    ]
    edits += [
        threading.Thread(
            target=programs[10].set_execution, args=("alpha", replace(tuned, threads=3))
        ),
        threading.Thread(target=programs[11].remove, args=("zero",)),
    ]
    for edit in edits:
        edit.start()
    for edit in edits:
        edit.join()

    found = Inventory(path).targets
    assert set(found) == {"alpha", *(f"board{number}" for number in range(10))}
    assert found["alpha"].execution.threads == 3
    assert [entry.name for entry in tmp_path.iterdir()] == ["kedge.toml"]


def test_an_edit_that_does_not_end_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_edit, "EDIT_TIMEOUT_S", 0.05)
    inventory = file_in(tmp_path, WRITTEN)

    with file_edit.edit_alone(inventory.path):
        with pytest.raises(InventoryError, match="another program that edits it"):
            inventory.add(HERE)
        assert inventory.path.read_text() == WRITTEN
    inventory.add(HERE)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a read-only folder")
def test_a_read_only_folder_leaves_the_old_file(tmp_path: Path) -> None:
    inventory = file_in(tmp_path, WRITTEN)
    mounted = subprocess.run(["mount", "--bind", tmp_path, tmp_path], check=False)
    if mounted.returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", tmp_path], check=True)
        with pytest.raises(InventoryError, match="cannot write .*Read-only"):
            inventory.add(HERE)
        assert inventory.path.read_text() == WRITTEN
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_link_stays_a_link_and_the_mode_stays(tmp_path: Path) -> None:
    real = tmp_path / "real.toml"
    real.write_text(WRITTEN)
    real.chmod(0o600)
    link = tmp_path / "kedge.toml"
    link.symlink_to(real)
    Inventory(link).add(HERE)

    assert link.is_symlink()
    assert "here" in real.read_text()
    assert real.stat().st_mode & 0o777 == 0o600


def test_a_relative_identity_starts_at_the_file(tmp_path: Path) -> None:
    entry = f'[targets.pi]\naddress = "pi@b"\nhost_key = "{KEY}"\nidentity = '

    assert file_in(tmp_path, entry + '"keys/id"').get("pi").identity == tmp_path / "keys/id"
    assert file_in(tmp_path, entry + '"~/.ssh/id"').get("pi").identity == Path("~/.ssh/id")
    assert file_in(tmp_path, entry + '"/keys/id"').get("pi").identity == Path("/keys/id")
