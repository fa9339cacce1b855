"""URLs of shared studies: what is taken, what is refused, and what of it is shown."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from toolkit.search.objective import Objective
from toolkit.search.shared_study import StudyUrlError, parse_study_url
from toolkit.search.study import Study
from toolkit.search.study_errors import SearchError, StudyUnreachableError

OBJECTIVES = (Objective("accuracy", True, 0.0),)


@pytest.mark.parametrize(
    ("text", "url", "name", "public"),
    [
        ("postgresql://me@h/d", "postgresql://me@h/d", "kedge", "postgresql://me@h/d"),
        ("postgres://me:pw@h:5433/d#resnet 8", "postgresql://me:pw@h:5433/d", "resnet 8",
         "postgresql://me@h:5433/d#resnet%208"),
        ("postgresql+psycopg2://me:p%40w@h/d#a%20b", "postgresql://me:p%40w@h/d", "a b",
         "postgresql://me@h/d#a%20b"),
        ("postgresql:///d?host=/run/pg&password=pw", "postgresql:///d?host=/run/pg&password=pw",
         "kedge", "postgresql:///d?host=/run/pg"),
        ("postgresql://[::1]:5432/d", "postgresql://[::1]:5432/d", "kedge",
         "postgresql://[::1]:5432/d"),
    ],
)  # fmt: skip
def test_a_url_names_a_database_and_a_study_and_is_shown_without_its_password(
    text: str, url: str, name: str, public: str
) -> None:
    study = parse_study_url(text)
    assert (study.url, study.name, study.public_url) == (url, name, public)
    assert parse_study_url(public).name == name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sqlite:///a.db", "SQLite is one file on one machine"),
        ("mysql://me@h/d", "the database mysql is not supported; PostgreSQL is"),
        ("me@h/d", "is not supported"),
        ("", "is not supported"),
        ("postgresql://h", "names no database"),
        ("postgresql://h:port/d", "the host or the port"),
        ("postgresql://[::1/d", "the host or the port"),
        ("postgresql://h/d#" + "n" * 101, "at most 100 printable characters"),
        ("postgresql://h/d#a%1Bb", "at most 100 printable characters"),
    ],
)
def test_another_url_is_refused_in_words_without_its_password(text: str, words: str) -> None:
    with pytest.raises(StudyUrlError, match=words) as caught:
        parse_study_url(text)
    assert caught.value.hint


def test_a_server_that_is_down_is_named_at_once(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = parse_study_url(f"postgresql://me:secret@127.0.0.1:{port}/d")
    with pytest.raises(StudyUnreachableError, match="refused") as caught:
        Study(tmp_path, {}, 0, OBJECTIVES, shared)
    assert "secret" not in str(caught.value)


def test_a_missing_driver_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(SearchError, match="needs psycopg") as caught:
        Study(tmp_path, {}, 0, OBJECTIVES, parse_study_url("postgresql://me@h/d"))
    assert "kedge[search]" in caught.value.hint
