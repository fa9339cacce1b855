"""`kedge target rekey`: a replaced board gets its new host key, after both keys were shown."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from targets.inventory import Inventory
from tests.boards import BoardUnderTest, start_board
from tests.kedge import assert_refused, kedge

OLD_KEY = "SHA256:" + "A" * 43


@pytest.fixture(scope="module")
def board() -> Iterator[BoardUnderTest]:
    with start_board("ssh") as running:
        yield running


@pytest.fixture
def project(board: BoardUnderTest, tmp_path: Path) -> Path:
    """A project that knows another key of the board."""
    (tmp_path / "kedge.toml").write_text(
        "# mine\n"
        f'[targets.pi]\naddress = "{board.address}"\nidentity = "{board.identity}"\n'
        f'host_key = "{OLD_KEY}"\nhost_key_type = "ssh-ed25519"\nlabels = {{room = "lab"}}\n'
    )
    return tmp_path


def pinned_key(project: Path) -> str | None:
    return Inventory(project / "kedge.toml").get("pi").host_key


def test_a_person_sees_both_keys_and_decides(project: Path, board: BoardUnderTest) -> None:
    refused = kedge("target", "check", "pi", cwd=project)
    assert_refused(refused, 6, "has changed", "kedge target rekey pi")

    ran = kedge("target", "rekey", "pi", cwd=project, stdin="n\n")
    assert ran.code == 6
    for words in (OLD_KEY, str(board.host_key), "not accepted; nothing was changed"):
        assert words in ran.err
    assert pinned_key(project) == OLD_KEY

    ran = kedge("target", "rekey", "pi", cwd=project, stdin="y\n")
    assert ran.code == 0, ran.err
    assert pinned_key(project) == board.host_key
    assert (project / "kedge.toml").read_text().startswith("# mine\n")
    assert Inventory(project / "kedge.toml").get("pi").labels == {"room": "lab"}

    again = kedge("target", "rekey", "pi", cwd=project)
    assert "nothing was changed" in again.out


def test_a_script_names_the_new_key(project: Path, board: BoardUnderTest) -> None:
    other = "SHA256:" + "B" * 43
    ran = kedge("target", "rekey", "pi", "--fingerprint", other, cwd=project)
    assert_refused(ran, 6, str(board.host_key), other, "nothing was changed")
    assert pinned_key(project) == OLD_KEY
    ran = kedge("target", "rekey", "pi", "--fingerprint", str(board.host_key), cwd=project)
    assert ran.code == 0, ran.err
    assert pinned_key(project) == board.host_key


@pytest.mark.parametrize("text", ["", "MD5:0a:1b", "SHA256:short", "B" * 43, "SHA256:" + "B" * 44])
def test_a_fingerprint_of_another_form_is_refused_before_anybody_connects(
    tmp_path: Path, text: str
) -> None:
    entry = f'[targets.pi]\naddress = "pi@127.0.0.1:1"\nhost_key = "{OLD_KEY}"\n'
    (tmp_path / "kedge.toml").write_text(entry)
    for words in (("rekey", "pi"), ("add", "other", "pi@127.0.0.1:1")):
        ran = kedge("target", *words, "--host-key", text, cwd=tmp_path)
        assert_refused(ran, 3, repr(text), "43 characters", "ssh-keygen -lf")
    assert (tmp_path / "kedge.toml").read_text() == entry


def test_this_computer_has_no_host_key(tmp_path: Path) -> None:
    (tmp_path / "kedge.toml").write_text('[targets.here]\naddress = "local"\n')
    assert_refused(kedge("target", "rekey", "here", cwd=tmp_path), 3, "no host key")
    assert_refused(kedge("target", "rekey", "gone", cwd=tmp_path), 3, "no target is called")
