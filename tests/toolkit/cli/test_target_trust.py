"""`kedge target trust` on real boards: who may sign is enrolled, shown, changed, and refused."""

import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from device_agent.contract.release_state import BoardReleases
from targets import provision
from targets.inventory import Target
from tests.boards import BoardUnderTest, start_board
from tests.conformance.conftest import add_arguments
from tests.fake_board import FakeBoard, connect_to
from tests.kedge import assert_refused, kedge
from tests.targets.loopback import let_boards_use_the_tests_python
from tests.toolkit.bundle.small_bundle import make_key
from toolkit.fleet.trust import enroll_trust, next_root
from toolkit.fleet.trust_chain import TrustChain


@pytest.fixture(scope="module")
def board() -> Iterator[BoardUnderTest]:
    with start_board("ssh") as running:
        yield running


@pytest.fixture
def project(board: BoardUnderTest, tmp_path: Path) -> Path:
    root = ["--root", f"{board.root}/{tmp_path.name}"]
    ran = kedge(*add_arguments(board)[:4], *add_arguments(board)[6:], *root, cwd=tmp_path)
    assert ran.code == 0, ran.err
    for name in ("ann", "bob"):
        make_key(tmp_path / name)
    return tmp_path


def signers(project: Path, *names: str) -> str:
    lines = [f"{name}@farm {(project / (name + '.pub')).read_text()}" for name in names]
    (project / "signers").write_text("".join(lines))
    return "signers"


def entry_of(project: Path, board: BoardUnderTest, *arguments: str) -> dict[str, Any]:
    ran = kedge("target", "trust", board.name, *arguments, "--json", cwd=project)
    (entry,) = ran.json["targets"]
    return {**entry, "own": entry["root"], "root": ran.json["root"], "code": ran.code}


def test_signers_are_enrolled_shown_and_changed(project: Path, board: BoardUnderTest) -> None:
    entry = entry_of(project, board)
    assert (entry["version"], entry["fleet"], entry["root"]) == (0, None, None)
    assert entry["verifier"]

    arguments = ("--signers", signers(project, "ann"), "--fleet", "farm")
    entry = entry_of(project, board, *arguments)
    assert (entry["version_before"], entry["version"], entry["fleet"]) == (0, 1, "farm")
    assert entry["root"]["threshold"] == 1
    assert [signer["name"] for signer in entry["root"]["signers"]] == ["ann@farm"]
    assert entry_of(project, board, *arguments)["version"] == 1  # once more changes nothing

    signers(project, "ann", "bob")
    ran = kedge("target", "trust", board.name, "--signers", "signers", cwd=project)
    assert_refused(ran, 3, "trust root 2", "root 1 must sign, 0 did", "--sign KEY")
    ran = kedge(
        "target", "trust", board.name, "--signers", "signers", "--sign", "ann", "--sign", "bob",
        "--threshold", "2", cwd=project,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "1 → 2" in ran.out
    assert "bob@farm ssh-ed25519 SHA256:" in ran.out
    entry = entry_of(project, board)
    assert entry["version"] == 2
    assert [signer["name"] for signer in entry["own"]["signers"]] == ["ann@farm", "bob@farm"]


def test_another_project_cannot_change_the_signers(
    project: Path, board: BoardUnderTest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    arguments = ("target", "trust", board.name, "--signers")
    assert kedge(*arguments, signers(project, "ann"), cwd=project).code == 0
    other = tmp_path_factory.mktemp("other")
    (other / "kedge.toml").write_text((project / "kedge.toml").read_text())
    make_key(other / "eve")
    ran = kedge(*arguments, signers(other, "eve"), cwd=other)
    assert_refused(ran, 7, "another trust root 1")
    ran = kedge(*arguments, signers(other, "eve"), "--fleet", "barn", cwd=other)
    assert_refused(ran, 6, "belongs to the fleet default, not to barn")


def test_a_project_that_lost_its_roots_takes_them_from_a_board(
    project: Path, board: BoardUnderTest
) -> None:
    arguments = ("target", "trust", board.name)
    refused = kedge(*arguments, "--adopt", cwd=project)
    assert_refused(refused, 3, "trusts nobody yet")
    signers(project, "ann")
    assert kedge(*arguments, "--signers", "signers", "--fleet", "farm", cwd=project).code == 0
    refused = kedge(*arguments, "--adopt", cwd=project)
    assert_refused(refused, 3, "has roots of the fleet farm already")
    shutil.rmtree(project / ".kedge" / "trust")
    ran = kedge(*arguments, "--adopt", cwd=project)
    assert ran.code == 0, ran.err
    assert "ann@farm ssh-ed25519 SHA256:" in ran.out
    signers(project, "bob")
    change = ("--signers", "signers", "--sign", "ann", "--sign", "bob")
    assert kedge(*arguments, *change, cwd=project).code == 0
    entry = entry_of(project, board)
    assert entry["version"] == 2
    assert [signer["name"] for signer in entry["own"]["signers"]] == ["bob@farm"]


def test_wrong_usage_is_named(project: Path, board: BoardUnderTest) -> None:
    ran = kedge("target", "trust", board.name, "--sign", "ann", cwd=project)
    assert ran.code == 2
    assert "belong to --signers" in ran.err
    assert_refused(kedge("target", "trust", "room=x", cwd=project), 3, "no target")
    (project / "signers").write_text("nobody\n")
    ran = kedge("target", "trust", board.name, "--signers", "signers", cwd=project)
    assert_refused(ran, 3, "signers, line 1")


def test_boards_that_lag_or_cannot_verify_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_boards_use_the_tests_python(monkeypatch)
    names = ("new", "lagging", "blind", "ahead", "stolen")
    boards = {name: FakeBoard(tmp_path / name) for name in names}
    monkeypatch.setattr(provision, "connect", connect_to(boards))
    targets = {name: Target(name, "local", root=str(boards[name].root)) for name in names}
    for name in ("ann", "bob"):
        make_key(tmp_path / name)
    chain = TrustChain(tmp_path / "trust" / "farm")
    path = tmp_path / "signers"
    signers(tmp_path, "ann")
    next_root(chain, "farm", path, None, [])
    (done,) = enroll_trust([targets["lagging"]], chain.roots(), lambda _: None)
    assert done.error is None
    for _ in range(2):  # ann and bob, then ann
        signers(tmp_path, "ann", *(["bob"] if "bob" not in path.read_text() else []))
        next_root(chain, "farm", path, None, [tmp_path / "ann"])
    blind = BoardReleases(verifier_absence="ssh-keygen knows no -Y")
    ahead = BoardReleases(fleet="farm", root_version=9, verifier="OpenSSH_9.2")
    stolen = BoardReleases(fleet="barn", root_version=1, verifier="OpenSSH_9.2")
    for name, state in (("blind", blind), ("ahead", ahead), ("stolen", stolen)):
        boards[name].faults.answers = {"releases": asdict(state)}

    results = enroll_trust(list(targets.values()), chain.roots(), lambda _: None)
    by_name = {result.target: result for result in results}
    assert (by_name["new"].version_before, by_name["new"].version) == (0, 3)
    assert (by_name["lagging"].version_before, by_name["lagging"].version) == (1, 3)
    for name, words in (
        ("blind", "cannot check signatures: ssh-keygen knows no -Y"),
        ("ahead", "trusts root 9, this project has 3"),
        ("stolen", "belongs to the fleet barn"),
    ):
        assert words in str(by_name[name].error)
        assert getattr(by_name[name].error, "hint", "")
    assert getattr(by_name["blind"].error, "exit_code", 0) == 7
