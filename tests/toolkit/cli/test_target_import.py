"""`kedge target import` as a person and as a program see it."""

from pathlib import Path

import pytest

from tests.kedge import assert_refused, kedge
from tests.targets.imports.test_target_import import known_hosts

LIST = "name,address,site\ndoor,pi@door,north\ngate,pi@gate:2222,south\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "boards.csv").write_text(LIST)
    known_hosts(tmp_path, ["door", "[gate]:2222"])
    return tmp_path


ARGUMENTS = ("target", "import", "boards.csv", "--known-hosts", "known_hosts")
ENV = {"KEDGE_SSH_CONFIG": "none"}


def test_boards_of_a_list_are_added_once(project: Path) -> None:
    dry = kedge(*ARGUMENTS, "--dry-run", cwd=project, env=ENV)
    assert "door pi@door site=north" in dry.out
    assert "would add 2 targets" in dry.out
    assert not (project / "kedge.toml").exists()

    plain = kedge(*ARGUMENTS, "--json", cwd=project, env=ENV).json
    assert [target["name"] for target in plain["added"]] == ["door", "gate"]
    assert plain["added"][0]["labels"] == {"site": "north"}
    assert plain["added"][0]["host_key"].startswith("SHA256:")

    again = kedge(*ARGUMENTS, cwd=project, env=ENV)
    assert "added 0 targets" in again.out
    assert "2 targets were there already" in again.out
    listed = kedge("target", "list", "--json", cwd=project).json["targets"]
    assert [target["address"] for target in listed] == ["pi@door", "pi@gate:2222"]


def test_wrong_rows_are_named_and_nothing_is_written(project: Path) -> None:
    (project / "boards.csv").write_text(LIST + "lost,pi@lost,x\n")
    refused = kedge(*ARGUMENTS, "--json", cwd=project, env=ENV)
    assert_refused(refused, 3, "1 of 3 rows are not right; nothing was written", "line 4: lost")
    (problem,) = refused.json["problems"]
    assert (problem["line"], problem["name"]) == (4, "lost")
    assert not (project / "kedge.toml").exists()
    refused = kedge("target", "import", "gone.csv", cwd=project, env=ENV)
    assert_refused(refused, 3, "gone.csv: cannot be read")
    refused = kedge(*ARGUMENTS, "--board", "raspberry-pi-99", cwd=project, env=ENV)
    assert_refused(refused, 3, "no kind of board is called 'raspberry-pi-99'")
