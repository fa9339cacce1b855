"""Random text where a board or a user writes: read, or refused in one message."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from targets.address import Address, AddressError, parse_address
from targets.entry_checks import InventoryError
from targets.errors import TargetError
from targets.inventory import Inventory, Target
from targets.probe import NoPythonError, read_probe
from targets.runtimes.release import Wheel
from targets.runtimes.wheel_name import is_wheel

LINES = st.sampled_from(
    [
        *("root=/x", "root=", "machine=aarch64", "writable=yes", "free_kib=12", "free_kib=\u00b2"),
        *("python=3.9 /usr/bin/python3", "python=", "python=a.b c", "python=3", "python=9.9 x"),
        *("end=yes", "end=no", "agent=yes", "Welcome!", "=", "", "free_kib=" + "9" * 5000),
        "python=" + "9" * 5000 + ".1 /x",
    ]
)


@settings(max_examples=1000, deadline=None)
@given(st.lists(LINES | st.text(max_size=30), max_size=12).map("\n".join))
def test_what_a_board_prints_is_a_probe_or_refused(output: str) -> None:
    try:
        seen = read_probe(output)
    except TargetError as refused:
        assert "no usable shell" in str(refused)
        assert refused.hint
        return
    assert seen.root
    try:
        assert seen.python.version >= (3, 7)
    except NoPythonError as refused:
        assert refused.hint


@settings(max_examples=1000, deadline=None)
@given(st.text(max_size=40) | st.from_regex(r"[a-z]*@?\[?[a-z:.%0-9]*\]?:?[0-9]*", fullmatch=True))
def test_text_is_an_address_or_refused(text: str) -> None:
    try:
        address = parse_address(text)
    except AddressError as refused:
        assert refused.exit_code == 3
        assert refused.hint
    else:
        assert isinstance(address, Address)
        assert address.port is None or 0 < address.port < 65536
        assert address.user is None or text.startswith(address.user + "@")
        assert address.host in text
        assert address.host


TOML_PARTS = st.sampled_from(
    [
        *("[targets]\n", "[targets.a]\n", "[[targets]]\n", "[targets.a.b]\n", "[other]\n"),
        *(
            'address = "local"\n',
            'address = "pi@b"\n',
            "address = 7\n",
            'a = {address = "local"}\n',
        ),
        *("labels = {a = 1}\n", 'root = "/x"\n', 'root = "x"\n', "targets = {}\n", "# a note\n"),
        *('targets.b.address = "local"\n', 'host_key = "SHA256:' + "A" * 43 + '"\n', '"', "\n"),
    ]
)


@settings(max_examples=1000, deadline=None)
@given(st.lists(TOML_PARTS | st.text(max_size=8), max_size=8).map("".join))
def test_a_file_is_an_inventory_or_refused_and_an_edit_keeps_the_rest(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kedge.toml")
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        before = path.read_bytes()
        new = Target("new", "local", labels={"k": "v"})
        try:
            inventory = Inventory(path)
            known = dict(inventory.targets)
            inventory.add(new)
        except InventoryError as refused:
            assert refused.exit_code == 3
            assert path.read_bytes() == before
            return
        assert dict(Inventory(path).targets) == {**known, "new": new}
        Inventory(path).remove("new")
        assert dict(Inventory(path).targets) == known


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=60) | st.from_regex(r"[a-z_]+(-[a-z0-9_.]+){0,6}\.whl", fullmatch=True))
def test_a_file_name_is_a_wheel_or_not(name: str) -> None:
    wheel = Wheel("numpy", "1.26.4", "311", "x86_64")

    assert is_wheel(name, wheel) in (True, False)
    assert not is_wheel(name, wheel) or name.startswith("numpy-1.26.4-")
