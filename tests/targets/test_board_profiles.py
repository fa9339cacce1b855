"""The profiles: every fact has a source, and a board is recognised by what its kernel shows."""

import re
from pathlib import Path

import pytest

from device_agent.board.facts import read_facts
from device_agent.contract.facts import facts_from_json
from targets.board_profile import (
    ASSUMED,
    CONDITIONS,
    BoardProfile,
    board_profiles,
    caveats_of,
    recognise,
)
from targets.inventory import Inventory, Target
from tests.device_agent.board_trees import A53, BOARDS, device_tree, make_tree
from tests.kedge import kedge
from tests.targets.board_table import DOCUMENT, ROW, rows
from toolkit import enrollment as enroll_module

PROFILES = list(board_profiles().values())


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.id)
def test_a_profile_is_whole_and_names_its_sources(profile: BoardProfile) -> None:
    assert profile.name
    assert profile.compatible or profile.models
    assert all(re.fullmatch(r"0x[0-9a-f]{2}:0x[0-9a-f]{3}", part) for part in profile.parts)
    assert {"soc", "cores", "architecture", "memory", "system", "runtime"} <= set(profile.facts)
    told = [*profile.facts.values(), *profile.caveats]
    assert all(entry.source for entry in told)
    assert profile.recognition_source not in ("", ASSUMED)
    for caveat in profile.caveats:
        assert caveat.cause
        assert caveat.fix.endswith(".")
        assert set(caveat.when) <= set(CONDITIONS)


def test_no_two_profiles_claim_one_board() -> None:
    for claims in ([p.compatible for p in PROFILES], [p.models for p in PROFILES]):
        names = [name for claim in claims for name in claim]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_is_recognised(tmp_path: Path, name: str) -> None:
    found = recognise(facts_from_json(read_facts(make_tree(tmp_path, BOARDS[name]))))

    assert found is not None
    assert found.id == name


def test_a_board_is_recognised_by_its_model_alone(tmp_path: Path) -> None:
    tree = {**BOARDS["raspberry-pi-4"], "proc/device-tree/compatible": "\0"}
    found = recognise(facts_from_json(read_facts(make_tree(tmp_path, tree))))

    assert found is not None
    assert found.id == "raspberry-pi-4"


def test_a_board_that_no_profile_names_is_known_by_its_chip(tmp_path: Path) -> None:
    compatible = ["friendlyarm,nanopc-t6", "rockchip,rk3588"]
    tree = device_tree("FriendlyElec NanoPC-T6", compatible, [("0x41", "0xd0b")])
    found = recognise(facts_from_json(read_facts(make_tree(tmp_path, tree))))

    assert found is not None
    assert found.id == "rk3588"


@pytest.mark.parametrize(
    "tree",
    [
        device_tree("", [], [A53]),
        device_tree("Some Board", ["vendor,board", "vendor,chip"], [A53]),
        # an emulator that was given the device tree of a board, on other cores
        device_tree("Raspberry Pi 4 Model B", ["raspberrypi,4-model-b"], [("0x61", "0x022")]),
    ],
    ids=["nothing", "unknown", "another's cores"],
)
def test_what_is_no_known_board_has_no_profile(tmp_path: Path, tree: dict[str, str]) -> None:
    assert recognise(facts_from_json(read_facts(make_tree(tmp_path, tree)))) is None


def causes(tmp_path: Path, tree: dict[str, str], **more: object) -> str:
    seen = read_facts(make_tree(tmp_path, tree))
    facts = facts_from_json({**seen, "machine": "aarch64", **more})
    profile = recognise(facts)
    assert profile is not None
    return "\n".join(caveat.cause for caveat in caveats_of(profile, facts))


def test_a_caveat_is_told_only_where_it_applies(tmp_path: Path) -> None:
    pi = BOARDS["raspberry-pi-5"]

    assert causes(tmp_path / "a", pi, page_bytes=4096) == ""
    assert "16 KiB pages" in causes(tmp_path / "b", pi, page_bytes=16384)
    assert "PCIe" not in causes(tmp_path / "c", pi, page_bytes=16384)
    pcie = {**pi, "dev/apex_0": ""}
    assert "a PCIe Edge TPU needs" in causes(tmp_path / "d", pcie, page_bytes=16384)


def test_the_table_of_the_documents_is_current() -> None:
    shown = ROW.findall(DOCUMENT.read_text(encoding="utf-8"))

    assert shown == rows(), "write it anew: python -m tests.targets.board_table"


def test_adding_a_board_keeps_its_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = board_profiles()["raspberry-pi-4"]
    monkeypatch.setattr(enroll_module, "recognise", lambda facts: profile)
    here = Target("here", "local", root=str(tmp_path / "root"))
    added = enroll_module.enroll(here, None, lambda *_: True, tmp_path)

    assert added.profile == profile
    assert 'board = "raspberry-pi-4"' in (tmp_path / "kedge.toml").read_text()
    assert Inventory(tmp_path / "kedge.toml").get("here").board == "raspberry-pi-4"
    listed = kedge("target", "list", "--json", cwd=tmp_path)
    assert listed.json["targets"][0]["board"] == "raspberry-pi-4"
    assert "raspberry-pi-4" in kedge("target", "list", cwd=tmp_path).out


def test_a_board_that_is_not_known_has_no_kind(tmp_path: Path) -> None:
    here = Target("here", "local", root=str(tmp_path / "root"))
    added = enroll_module.enroll(here, None, lambda *_: True, tmp_path)

    assert added.profile is None
    assert "board =" not in (tmp_path / "kedge.toml").read_text()
