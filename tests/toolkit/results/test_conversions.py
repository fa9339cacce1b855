"""Conversions are kept beside the measurements: each file once, and never at its cost."""

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from converters.evidence.conversion import Conversion, StepRecord
from tests.kedge import assert_refused, kedge
from tests.targets.small_disk import small_disk
from tests.toolkit.measurements import measurement
from tests.toolkit.report.page.reports import conversion, digest
from toolkit.cli.kept_conversions import keep_conversions
from toolkit.project import FOLDER
from toolkit.report.record import records_of_measurement
from toolkit.results.database import NAME, ResultStoreError
from toolkit.results.entry_id import CONVERSION, RESULT, EntryId, parse_entry_id
from toolkit.results.store import open_results

SAMPLES = [[100_000 + 7 * process + sample for sample in range(60)] for process in range(6)]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one measurement and two conversions."""
    (tmp_path / "kedge.toml").write_text('[targets.pi]\naddress = "local"\n')
    with open_results(tmp_path) as store:
        store.save(records_of_measurement(measurement(SAMPLES)))
        store.conversions.save([conversion(1, "ptq_w8a8", 850), conversion(2, "qat_w8a8", 898)])
    return tmp_path


def test_a_conversion_comes_back_whole_and_each_file_once(tmp_path: Path) -> None:
    first = conversion(1, "ptq_w8a8", 850)
    with open_results(tmp_path) as store:
        (entry,) = store.conversions.save([first])
        date = store.conversions.load(entry.number).converted_at
        store.labels.write_note(entry, "mine")
        again = replace(first, model=Path("elsewhere/model.tflite"), seed=4)
        assert store.conversions.save([again]) == [entry]
        (stored,) = store.conversions.list_conversions().entries
    assert stored.conversion == replace(again, model=again.model.absolute())
    assert (stored.converted_at, stored.note) == (date, "mine")


def test_the_evidence_of_an_endless_training_is_kept_without_its_epochs(tmp_path: Path) -> None:
    long = StepRecord("tune", 1.0, {"epochs": ["x" * 1000] * 5000})
    with open_results(tmp_path) as store:
        (entry,) = store.conversions.save(
            [replace(conversion(1, "qat_w8a8", 850), step_records=(long,))]
        )
        kept = store.conversions.load(entry.number).conversion
    assert kept.step_records == ()
    assert kept.accuracy is not None


def test_a_store_of_schema_2_is_brought_to_this_one(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    shutil.copy(Path(__file__).parent / "stores" / "schema2.db", tmp_path / FOLDER / NAME)
    with open_results(tmp_path) as store:
        (line,) = store.list_results().lines
        assert (line.target, line.note, line.tags) == ("here", "", ())
        assert len(store.load(line.id).runs) == 6
        assert store.conversions.list_conversions().entries == ()
        store.conversions.save([conversion(1, "a", 850)])
        store.labels.add_tags(EntryId(RESULT, line.id), ["old"])
        assert store.list_results(tag="old").lines[0].id == line.id


def test_both_kinds_are_listed_shown_and_exported(project: Path) -> None:
    listed = kedge("results", "list", "--json", cwd=project).json
    assert [line["id"] for line in listed["results"]] == [1]
    assert [line["id"] for line in listed["conversions"]] == ["c2", "c1"]
    entry = listed["conversions"][1]
    assert entry["recipe"] == "ptq_w8a8"
    assert entry["model_sha256"] == digest(1)
    assert entry["source_sha256"] == "f" * 64
    assert (entry["metric"], entry["value"]) == ("accuracy", 0.85)
    assert (entry["low"], entry["high"]) == pytest.approx((0.83, 0.87))
    assert entry["macs"] == 12_501_632
    assert entry["evidence"].endswith("out/ptq_w8a8/conversion.json")
    told = kedge("results", cwd=project)
    assert "85.00 % (83.0 to 87.0)" in told.out
    assert "pi" in told.out
    assert "c1" not in kedge("results", "list", "--on", "pi", cwd=project).out
    shown = kedge("results", "show", "c1", cwd=project)
    assert digest(1) in shown.out
    plain = kedge("results", "show", "c1", "--json", cwd=project).json
    assert plain["conversion"]["recipe"] == "ptq_w8a8"
    assert kedge("results", "export", "c1", "c1.json", cwd=project).code == 0
    assert json.loads((project / "c1.json").read_text())["conversion"]["seed"] == 0
    rows = kedge("results", "export", "1", "c2", "--csv", "-", cwd=project).out.splitlines()
    assert len(rows) == 3
    assert rows[2].startswith("c2,")


def test_notes_and_tags_find_what_they_belong_to(project: Path) -> None:
    assert kedge("results", "note", "1", "new heat sink", cwd=project).code == 0
    assert kedge("results", "note", "c2", "the best", cwd=project).code == 0
    assert kedge("results", "tag", "1", "baseline", "v1.2", cwd=project).code == 0
    assert kedge("results", "tag", "c2", "baseline", "baseline", cwd=project).code == 0
    found = kedge("results", "list", "--tag", "baseline", "--json", cwd=project).json
    assert [line["note"] for line in found["results"]] == ["new heat sink"]
    assert [line["tags"] for line in found["conversions"]] == [["baseline"]]
    assert kedge("results", "list", "--tag", "base", "--json", cwd=project).json["results"] == []
    assert "baseline v1.2" in kedge("results", cwd=project).out
    for entry in ("1", "c2"):
        assert "baseline" in kedge("results", "show", entry, cwd=project).out
    assert kedge("results", "tag", "1", "baseline", "--remove", cwd=project).code == 0
    found = kedge("results", "--tag", "baseline", "--json", cwd=project).json
    assert (found["results"], len(found["conversions"])) == ([], 1)
    assert kedge("results", "note", "1", "", cwd=project).code == 0
    assert "heat sink" not in kedge("results", "show", "1", cwd=project).out


def test_since_is_a_day_or_a_time(project: Path) -> None:
    with open_results(project) as store:
        at = store.list_results().lines[0].taken_at
    for since, count in (("2001-01-01", 1), (at, 1), ("2999-01-01T10:00+02:00", 0)):
        found = kedge("results", "list", "--since", since, "--json", cwd=project).json
        assert (len(found["results"]), len(found["conversions"])) == (count, 2 * count), since
    assert kedge("results", "list", "--since", "soon", cwd=project).code == 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("note", "c9", "x"), 3, "no conversion c9"),
        (("tag", "9", "x"), 3, "no result 9"),
        (("tag", "1", "two words"), 3, "is no tag"),
        (("tag", "1", *(f"t{number}" for number in range(51))), 3, "expected at most 50"),
        (("note", "1", "x" * 4001), 3, "expected at most 4,000"),
        (("delete", "c9", "--yes"), 3, "no conversion c9"),
        (("show", "c9"), 3, "no conversion c9"),
    ],
)
def test_what_is_wrong_with_a_label_is_said(
    project: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    assert_refused(kedge("results", *arguments, cwd=project), code, words)


def test_deleting_a_conversion_leaves_the_measurements(project: Path) -> None:
    assert kedge("results", "delete", "c1", "1", "c9", "--yes", cwd=project).code == 3
    assert kedge("results", "delete", "c1", "--yes", cwd=project).code == 0
    listed = kedge("results", "list", "--json", cwd=project).json
    assert [line["id"] for line in listed["results"]] == [1]
    assert [line["id"] for line in listed["conversions"]] == ["c2"]


@pytest.mark.parametrize(
    "change",
    ["document = '{'", "document = '[]'", "document = x'00'", "tags = x'00'", "note = x'00'",
     "document = json_set(document, '$.accuracy', 5)",
     "document = json_set(document, '$.drops', 1)",
     "document = json_set(document, '$.model_sha256', 'x')", "document = '" + "[" * 9999 + "'",
     "document = json_set(document, '$.schema', 99)"],
)  # fmt: skip
def test_a_damaged_conversion_is_named_and_the_others_stay(project: Path, change: str) -> None:
    with closing(sqlite3.connect(project / FOLDER / NAME)) as database, database:
        database.execute(f"UPDATE conversion SET {change} WHERE id = 1")
    with open_results(project) as store:
        with pytest.raises(ResultStoreError, match="conversion c1 in .* is damaged") as refused:
            store.conversions.load(1)
        assert "kedge results delete c1" in refused.value.hint
        listing = store.conversions.list_conversions()
    assert [each.number for each in listing.entries] == [2]
    assert list(listing.damage) == [1]


def test_a_damaged_conversion_does_not_hide_the_measurements(project: Path) -> None:
    with closing(sqlite3.connect(project / FOLDER / NAME)) as database, database:
        database.execute("UPDATE conversion SET document = '{' WHERE id = 1")
    ran = kedge("results", "list", cwd=project)
    assert_refused(ran, 3, "conversion c1", "kedge results delete c1")
    assert "VALID" in ran.out
    assert kedge("results", "delete", "c1", "--yes", cwd=project).code == 0


_WRITER = """
import sys
from pathlib import Path
from tests.toolkit.report.page.reports import conversion
from toolkit.results.entry_id import EntryId, CONVERSION
from toolkit.results.store import open_results
first = int(sys.argv[2])
for number in range(first, first + 20):
    with open_results(Path(sys.argv[1])) as store:
        (entry,) = store.conversions.save([conversion(number, "a", 850)])
        store.labels.add_tags(EntryId(CONVERSION, 1), [f"t{number}"])
"""


def test_two_processes_at_once_lose_no_conversion_and_no_tag(tmp_path: Path) -> None:
    with open_results(tmp_path) as store:
        store.conversions.save([conversion(1, "a", 850)])
    root = Path(__file__).resolve().parents[3]
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path), str(first)], cwd=root)
        for first in (100, 110)  # half of the files are written by both
    ]
    assert [writer.wait(timeout=600) for writer in writers] == [0, 0]
    with open_results(tmp_path) as store:
        entries = store.conversions.list_conversions().entries
    assert len(entries) == 31
    assert len(entries[-1].tags) == 30


def kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "kedge.toml").touch()
    monkeypatch.chdir(folder)


@pytest.mark.parametrize("options", ["size=64k", "size=1m,ro"])
def test_a_disk_that_takes_nothing_is_a_warning(
    options: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files: list[Conversion] = [conversion(number, f"r{number}", 850) for number in range(60)]
    folder = tmp_path / "project"
    with small_disk(folder, options.removesuffix(",ro")):
        kept(folder, monkeypatch)
        if options.endswith("ro"):
            subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        keep_conversions(files)
        monkeypatch.chdir(tmp_path)
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("note: ") == 1
    assert "the files of the conversion are whole" in told.err


def test_a_conversion_outside_of_a_project_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    keep_conversions([conversion(1, "a", 850)])
    assert capsys.readouterr().err == ""
    assert list(tmp_path.iterdir()) == []


def test_numbers_are_of_measurements_or_of_conversions() -> None:
    assert parse_entry_id("12") == EntryId(RESULT, 12)
    assert parse_entry_id("c3") == EntryId(CONVERSION, 3)
    for text in ("", "0", "c0", "C3", "-1", "1.5", "٣", "c", "out/", "9" * 19):
        assert parse_entry_id(text) is None, text
