"""A damaged result is named, and the others can be used."""

import sqlite3
import struct
import zlib
from contextlib import closing
from pathlib import Path

import pytest

from tests.kedge import assert_refused, kedge
from tests.toolkit.measurements import measurement
from toolkit.project import FOLDER, conversion_cache
from toolkit.report.record import records_of_measurement
from toolkit.report.stored_result import describe_result
from toolkit.results.database import NAME, ResultStoreError
from toolkit.results.store import open_results

SAMPLES = [[100_000 + 7 * process + sample for sample in range(60)] for process in range(6)]


def document(change: str) -> str:
    return f"UPDATE result SET document = {change} WHERE id = 1"


RUN = "UPDATE run SET {} WHERE result_id = 1"
DAMAGE_OF_RUNS = [
    *map(document, ["'{'", "'{}'", "'[]'", "'null'", "'5'", "'\"a\"'", "x'ff00'"]),
    *map(
        document,
        [
            f"'{'[' * 100_000}'",
            "json_set(document, '$.facts', json('" + "[" * 400 + "]" * 400 + "'))",
        ],
    ),  # fmt: skip
    *(document(f"json_remove(document, '$.{name}')") for name in ("facts", "place", "parity")),
    *(document(f"json_set(document, '$.{name}', 5)") for name in ("facts", "reasons", "parity")),
    *(document(f"json_set(document, '$.{name}', 'x')") for name in ("settings", "accuracy")),
    document("json_set(document, '$.streams', -1)"),
    document("json_set(document, '$.op_times', 5)"),
    document("json_set(document, '$.op_times', json('{\"steps\": [1]}'))"),
    document("json_set(document, '$.parity.reason', json('[]'))"),
    document("json_set(document, '$.reasons', json('[1]'))"),
    document("json_set(document, '$.accuracy', json('[1]'))"),
    RUN.format("record = '{}'"),
    RUN.format(f"record = '{'[' * 100_000}'"),
    RUN.format("record = json_set(record, '$.load_ns', 'soon')"),
    RUN.format("record = json_set(record, '$.kernel_class', 5)"),
    RUN.format("record = json_set(record, '$.threads', json('true'))"),
    RUN.format("conditions = '{}', record = '5'"),
    RUN.format("conditions = '[1]'"),
    RUN.format("conditions = '{}'"),
    RUN.format("conditions = '5'"),
    RUN.format('conditions = \'[{"load_1min": "high"}]\''),
    RUN.format('conditions = \'[{"frequency_khz": {"cpu0": "x"}}]\''),
    RUN.format("samples = x'00'"),
    RUN.format("samples = 'abc'"),
    RUN.format("samples = 5"),
    RUN.format("end_to_end = ''"),
    RUN.format("samples = (SELECT samples FROM run WHERE result_id = 2 AND number = 0)"),
    "DELETE FROM run WHERE result_id = 1",
    "INSERT INTO series VALUES (1, 0, 'x', x'00')",
]
#: Values that the list shows, too.
DAMAGE_OF_LINES = [
    f"UPDATE result SET {change} WHERE id = 1"
    for change in (
        "median_us = 'abc'",
        "median_us = x'00'",
        "median_us = 9e999",
        "threads = 'x'",
        "threads = 1.5",
        "target = x'ff00'",
        "model = 5.5 || x'00', model = x'00'",
        "taken_at = x'00'",
        "verdict = x'00'",
    )
]


def two_results(tmp_path: Path, *harm: str) -> Path:
    with open_results(tmp_path) as store:
        for samples in (SAMPLES, [[*one, 1] for one in SAMPLES]):
            store.save(records_of_measurement(measurement(samples)))
    with closing(sqlite3.connect(tmp_path / FOLDER / NAME)) as database, database:
        for statement in harm:
            database.execute(statement)
    (tmp_path / "kedge.toml").write_text("")
    return tmp_path


@pytest.mark.parametrize("harm", [*DAMAGE_OF_RUNS, *DAMAGE_OF_LINES])
def test_a_damaged_result_is_named_and_the_others_stay(harm: str, tmp_path: Path) -> None:
    with open_results(two_results(tmp_path, harm)) as store:
        with pytest.raises(ResultStoreError, match="result 1 .* is damaged") as refused:
            describe_result(store.load(1))
        assert refused.value.exit_code == 3
        assert "kedge results delete 1" in refused.value.hint
        assert len(store.load(2).runs) == 6
        listing = store.list_results()
    assert [line.id for line in listing.lines] == ([2] if harm in DAMAGE_OF_LINES else [2, 1])
    assert list(listing.damage) == ([1] if harm in DAMAGE_OF_LINES else [])


def test_samples_that_unpack_to_any_size_are_refused(tmp_path: Path) -> None:
    bomb = zlib.compress(bytes(200 << 20))
    two_results(tmp_path)
    with closing(sqlite3.connect(tmp_path / FOLDER / NAME)) as database, database:
        database.execute("UPDATE run SET samples = ? WHERE result_id = 1", (bomb,))
    with open_results(tmp_path) as store, pytest.raises(ResultStoreError, match="larger than any"):
        store.load(1)


def test_a_damaged_line_does_not_hide_the_others(tmp_path: Path) -> None:
    two_results(tmp_path, "UPDATE result SET median_us = 'abc' WHERE id = 1")
    words = (
        "result 1 in",
        "is damaged: ResultLine.median_us: expected a number, found 'abc'",
        "kedge results delete 1",
    )

    listed = kedge("results", "list", cwd=tmp_path)
    assert_refused(listed, 3, *words)
    assert "VALID" in listed.out
    as_json = kedge("results", "list", "--json", cwd=tmp_path)
    assert_refused(as_json, 3, *words)
    assert [line["id"] for line in as_json.json["results"]] == [2]
    exported = kedge("results", "export", "--csv", "-", cwd=tmp_path)
    assert_refused(exported, 3, *words)
    assert len(exported.out.splitlines()) == 2
    assert kedge("results", "delete", "1", "--yes", cwd=tmp_path).code == 0
    assert kedge("results", "list", cwd=tmp_path).code == 0


def test_a_text_that_is_no_utf_8_is_one_odd_text(tmp_path: Path) -> None:
    two_results(tmp_path, "UPDATE result SET target = CAST(x'7069ff' AS TEXT) WHERE id = 1")
    with open_results(tmp_path) as store:
        assert [line.target for line in store.list_results().lines] == [
            "pi",
            "pi\N{REPLACEMENT CHARACTER}",
        ]


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (["PRAGMA user_version = -1"], "has schema -1"),
        (["PRAGMA user_version = 0"], "has schema 0"),
        (["DROP TABLE result"], "another program"),
        (["CREATE VIEW more AS SELECT 1"], "has the view more"),
        (
            ["CREATE TRIGGER t AFTER INSERT ON result BEGIN DELETE FROM result; END"],
            "has the trigger t",
        ),
    ],
)
def test_a_file_that_is_no_store_of_ours_is_named(
    harm: list[str], said: str, tmp_path: Path
) -> None:
    two_results(tmp_path, *harm)
    assert_refused(kedge("results", "list", cwd=tmp_path), 3, f"{NAME}", said)


OTHER_PROGRAMS = {
    "no version": "CREATE TABLE notes (x)",
    "version 1": "CREATE TABLE notes (x); PRAGMA user_version = 1",
    "version 2": "CREATE TABLE notes (x); PRAGMA user_version = 2",
    "version 9": "CREATE TABLE notes (x); PRAGMA user_version = 9",
    "tables of these names": "CREATE TABLE result (id); CREATE TABLE run (id);"
    "PRAGMA user_version = 1",
    "a version alone": "PRAGMA user_version = 7",
}


@pytest.mark.parametrize("log", ["delete", "wal"])
@pytest.mark.parametrize("statements", OTHER_PROGRAMS.values(), ids=OTHER_PROGRAMS)
def test_the_database_of_another_program_is_refused_and_not_changed(
    statements: str, log: str, tmp_path: Path
) -> None:
    (tmp_path / "kedge.toml").write_text("")
    folder = tmp_path / FOLDER
    folder.mkdir()
    other = sqlite3.connect(folder / NAME)
    other.execute(f"PRAGMA journal_mode = {log}")
    other.executescript(statements)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert_refused(kedge("results", "list", cwd=tmp_path), 3, "another program", "Move it away")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    other.close()


def test_results_with_a_write_ahead_log_are_read(tmp_path: Path) -> None:
    two_results(tmp_path, "PRAGMA journal_mode = wal")
    with open_results(tmp_path) as store:
        assert len(store.list_results().lines) == 2


def test_a_link_in_the_place_of_the_folder_makes_no_file(tmp_path: Path) -> None:
    (tmp_path / "kedge.toml").write_text("")
    other = tmp_path / "elsewhere"
    other.mkdir()
    (tmp_path / FOLDER).symlink_to(other)
    assert_refused(kedge("results", "list", cwd=tmp_path), 3, f"{FOLDER} is a link to another")
    assert conversion_cache(tmp_path).parent.name == "kedge"
    assert not list(other.iterdir())
    (tmp_path / FOLDER).unlink()
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "cache").symlink_to(other)
    assert conversion_cache(tmp_path).parent.name == "kedge"


def _journal_that_names(other: Path) -> bytes:
    """A journal of SQLite of a transaction over several databases that was interrupted."""
    magic = bytes.fromhex("d9d505f920a163d7")
    name = str(other).encode()
    page = 4096
    head = magic + struct.pack(">IIIII", 0, 1, 7, 512, page)
    place = struct.pack(">I", 2**30 // page + 1)
    return head.ljust(512, b"\0") + place + name + struct.pack(">II", len(name), sum(name)) + magic


def test_a_journal_that_names_another_file_deletes_nothing(tmp_path: Path) -> None:
    two_results(tmp_path)
    other = tmp_path / "other.txt"
    other.write_text("mine")
    journal = tmp_path / FOLDER / f"{NAME}-journal"
    journal.write_bytes(_journal_that_names(other))
    assert_refused(kedge("results", "list", cwd=tmp_path), 3, "names another file")
    assert other.read_text() == "mine"


def test_a_link_in_the_place_of_the_store_makes_no_file(tmp_path: Path) -> None:
    two_results(tmp_path)
    store, other = tmp_path / FOLDER / NAME, tmp_path / "elsewhere.db"
    store.unlink()
    store.symlink_to(other)
    assert_refused(kedge("results", "list", cwd=tmp_path), 3, "is a link to another file")
    assert not other.exists()
