"""Results can be taken into other programs, compared, and deleted."""

import csv
import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.kedge import assert_refused, kedge
from tests.toolkit.measurements import measurement
from toolkit.report.record import records_of_measurement
from toolkit.results.store import open_results

FAST = [[100_000 + 7 * process + sample for sample in range(60)] for process in range(9)]
SLOW = [[2 * sample for sample in process] for process in FAST]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with three results: a fast one, a slow one, and one of an odd name."""
    (tmp_path / "kedge.toml").write_text('[targets.pi]\naddress = "local"\n')
    odd = replace(measurement(FAST), model=Path("=cmd|'a,b'.tflite"))
    with open_results(tmp_path) as store:
        for each in (measurement(FAST), measurement(SLOW), odd):
            store.save(records_of_measurement(each))
    return tmp_path


def listed(project: Path) -> list[int]:
    return [line["id"] for line in kedge("results", "--json", cwd=project).json["results"]]


def test_a_csv_has_a_line_for_each_result_and_runs_no_formula(project: Path) -> None:
    assert kedge("results", "export", "--csv", "all.csv", cwd=project).code == 0
    rows = list(csv.DictReader(io.StringIO((project / "all.csv").read_text())))
    assert [row["id"] for row in rows] == ["3", "2", "1"]
    assert rows[0]["model"] == "'=cmd|'a,b'.tflite"
    assert float(rows[1]["median_us"]) == pytest.approx(2 * float(rows[2]["median_us"]), rel=0.01)


def test_markdown_of_chosen_results_goes_to_standard_output(project: Path) -> None:
    ran = kedge("results", "export", "3", "1", "--markdown", "-", cwd=project)
    lines = ran.out.splitlines()
    assert len(lines) == 4
    assert all(line.replace("\\|", "").count("|") == lines[0].count("|") for line in lines)


def test_json_takes_one_result(project: Path) -> None:
    assert kedge("results", "export", "1", "2", "x.json", cwd=project).code == 2
    assert kedge("results", "export", "1", "x.json", cwd=project).code == 0
    assert_refused(kedge("results", "export", "9", "--csv", "x.csv", cwd=project), 3, "no result 9")
    assert not (project / "x.csv").exists()


def test_deletion_asks_first_and_takes_all_or_none(project: Path) -> None:
    assert kedge("results", "delete", "1", cwd=project, stdin="n\n").code == 130
    assert_refused(kedge("results", "delete", "1", "9", "--yes", cwd=project), 3, "no result 9")
    assert listed(project) == [3, 2, 1]
    assert kedge("results", "delete", "1", "3", "--yes", cwd=project).code == 0
    assert listed(project) == [2]
    assert_refused(kedge("results", "show", "1", cwd=project), 3, "no result 1")


def test_two_results_are_compared_without_a_board(project: Path) -> None:
    (project / "kedge.toml").write_text(
        f'[targets.pi]\naddress = "pi@127.0.0.1:1"\nhost_key = "SHA256:{"A" * 43}"\n'
    )
    ran = kedge("compare", "1", "2", "--json", cwd=project)
    assert ran.json["ratio"]["value"] == pytest.approx(2, rel=0.01)
    assert ran.json["interleaved"] is False
    assert listed(project) == [3, 2, 1]


def test_an_earlier_result_is_written_first(project: Path) -> None:
    ran = kedge("compare", "new.tflite", "2", cwd=project)
    assert ran.code == 2
    assert "kedge compare RESULT FILE" in ran.err


def test_json_also_when_a_single_board_fails(project: Path) -> None:
    from tests.tiny_model import relu_model

    (project / "m.tflite").write_bytes(relu_model())
    (project / "kedge.toml").write_text(
        f'[targets.dead]\naddress = "pi@127.0.0.1:1"\nhost_key = "SHA256:{"A" * 43}"\n'
    )
    ran = kedge("bench", "m.tflite", "--json", cwd=project)
    assert ran.code == 6
    assert ran.json["targets"][0]["verdict"] == "ERROR"


def test_deleting_without_anybody_to_confirm_names_the_option(project: Path) -> None:
    ran = kedge("results", "delete", "1", cwd=project, stdin="")
    assert ran.code == 2
    assert "nobody is there to confirm; nothing was deleted. Use --yes" in ran.err
    assert kedge("results", "list", "--json", cwd=project).json["results"]


def test_the_reason_of_each_board_is_shown_in_a_narrow_terminal(project: Path) -> None:
    from tests.tiny_model import relu_model

    (project / "m.tflite").write_bytes(relu_model())
    (project / "kedge.toml").write_text(
        "".join(
            f'[targets.{name}]\naddress = "pi@127.0.0.1:1"\nhost_key = "SHA256:{"A" * 43}"\n'
            for name in ("dead", "gone")
        )
    )
    ran = kedge("bench", "m.tflite", "--on", "dead,gone", cwd=project, env={"COLUMNS": "60"})
    assert ran.code == 6
    for name in ("dead", "gone"):
        assert f"{name}: cannot connect to 127.0.0.1 port 1: Connection refused" in ran.out
        assert f"{name}: Is the board on" in ran.err


def test_a_result_is_shown_without_the_parts_that_reach_boards(project: Path) -> None:
    code = (
        "import sys, toolkit.cli.main as m; assert m.run_command_line(['results', 'show', '1']) "
        "== 0; print('loaded', *sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True
    )
    modules = set(done.stdout.rpartition("loaded")[2].split())
    absent = {"targets.agent_client", "targets.jobs", "targets.inventory", "tomlkit", "paramiko"}
    assert modules.isdisjoint(absent), modules & absent
