"""A report is made of what a person names: numbers, folders, tags, times, or all there is."""

from pathlib import Path

import pytest

from tests.kedge import assert_refused, kedge
from tests.toolkit.report.page.reports import conversion, digest, stored_results
from toolkit.report.selection import LabelFilter, ReportSelection, SelectionError, select
from toolkit.results.entry_id import CONVERSION, RESULT, EntryId
from toolkit.results.store import open_results


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Files 1 and 2 are kept conversions; 1 and 3 were measured, 1 twice."""
    (tmp_path / "kedge.toml").touch()
    stored_results(tmp_path, ("a.tflite", 1, 400_000), ("b.tflite", 3, 100_000), ("a", 1, 390_000))
    with open_results(tmp_path) as store:
        store.conversions.save([conversion(1, "ptq_w8a8", 850), conversion(2, "qat_w8a8", 898)])
    return tmp_path


def selection(
    project: Path, *names: str, label_filter: LabelFilter | None = None
) -> ReportSelection:
    with open_results(project) as store:
        return select(store, names, label_filter)


def numbers(chosen: ReportSelection) -> tuple[list[str], list[int]]:
    return (
        [each.model_sha256[-1] for each in chosen.conversions],
        [result.line.id for result in chosen.results],
    )


def test_conversions_and_measurements_find_each_other_by_the_digest(project: Path) -> None:
    assert numbers(selection(project, "c1")) == (["1"], [1, 3])
    assert numbers(selection(project, "3")) == (["1"], [3])
    assert numbers(selection(project, "2")) == ([], [2])
    assert numbers(selection(project, "c2", "2")) == (["2"], [2])
    assert digest(1) in selection(project, "3").dates


def test_everything_or_what_has_a_tag(project: Path) -> None:
    assert numbers(selection(project, label_filter=LabelFilter())) == (["1", "2"], [1, 2, 3])
    with open_results(project) as store:
        store.labels.add_tags(EntryId(RESULT, 1), ["baseline"])
        store.labels.add_tags(EntryId(CONVERSION, 2), ["baseline"])
    assert numbers(selection(project, label_filter=LabelFilter("baseline"))) == (["2", "1"], [1])
    with pytest.raises(SelectionError, match="no result has this tag and time"):
        selection(project, label_filter=LabelFilter("base"))
    with pytest.raises(SelectionError, match="no result has this tag and time"):
        selection(project, label_filter=LabelFilter(since="2999-01-01"))


def test_the_command_takes_numbers_of_both_kinds_and_tags(project: Path) -> None:
    ran = kedge("report", "c1", "2", "--out", "r.html", cwd=project)
    assert ran.code == 0, ran.err
    assert "ptq_w8a8 loses 5.00 points" in ran.out
    assert digest(3)[:8] not in ran.err
    assert kedge("report", "--since", "2001-01-01", "--out", "r.html", cwd=project).code == 0
    assert_refused(kedge("report", "c7", "--out", "x.html", cwd=project), 3, "no conversion c7")
    assert_refused(kedge("report", "c1x", "--out", "x.html", cwd=project), 3, "12 or c3")
    assert not (project / "x.html").exists()
