"""An exported result is written whole or not at all."""

import json
from pathlib import Path

import pytest

from tests.kedge import assert_refused, kedge
from tests.targets.small_disk import small_disk
from tests.toolkit.measurements import measurement
from toolkit.report.record import records_of_measurement
from toolkit.results.store import open_results

SAMPLES = [[1_000_000 + sample for sample in range(5000)]] * 6


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "kedge.toml").touch()
    with open_results(tmp_path) as store:
        store.save(records_of_measurement(measurement(SAMPLES)))
    return tmp_path


def test_a_full_disk_leaves_the_earlier_file_or_none(project: Path) -> None:
    with small_disk(project / "disk", "size=65536"):
        earlier = project / "disk" / "earlier.json"
        earlier.write_text("{}\n")
        for file in (earlier, project / "disk" / "new.json"):
            ran = kedge("results", "export", "1", str(file), cwd=project)
            assert_refused(ran, 3, f"cannot write {file}: No space left on device")

        assert earlier.read_text() == "{}\n"
        assert [path.name for path in (project / "disk").iterdir()] == ["earlier.json"]


def test_a_link_stays_one_and_a_pipe_is_written_to(project: Path) -> None:
    (project / "link.json").symlink_to(project / "real.json")
    assert kedge("results", "export", "1", "link.json", cwd=project).code == 0
    piped = kedge("results", "export", "1", "/dev/stdout", cwd=project)

    assert (project / "link.json").is_symlink()
    written = json.loads((project / "real.json").read_text())
    assert len(written["runs"][0]["samples_ns"]) == 5000
    assert json.loads(piped.out.rpartition("wrote result")[0]) == written
