"""The files of a fleet stay in its project."""

from pathlib import Path

import pytest

from tests.kedge import assert_refused, kedge
from toolkit.errors import ToolkitError
from toolkit.fleet.project import open_fleet


@pytest.mark.parametrize("name", [".kedge", ".kedge/releases", ".kedge/deltas"])
def test_a_link_in_the_place_of_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    (project / name).parent.mkdir(parents=True, exist_ok=True)
    elsewhere.mkdir()
    (project / name).symlink_to(elsewhere)
    (project / "kedge.toml").write_text('[targets.here]\naddress = "local"\n')

    if name == ".kedge":
        ran = kedge("fleet", "history", cwd=project)
        assert_refused(ran, 3, ".kedge is a link to another folder")
    else:
        opened = open_fleet(project)
        with pytest.raises(ToolkitError, match="is a link to another folder"):
            _ = (opened.releases, opened.deltas)
    assert not list(elsewhere.iterdir())
