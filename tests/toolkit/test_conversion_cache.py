"""Where finished steps of conversions are kept."""

from pathlib import Path

import pytest

from toolkit.project import conversion_cache


def test_in_a_project_it_is_the_projects(tmp_path: Path) -> None:
    (tmp_path / "kedge.toml").touch()
    (tmp_path / "below").mkdir()
    expected = tmp_path.resolve() / ".kedge" / "cache" / "conversions"
    assert conversion_cache(tmp_path) == conversion_cache(tmp_path / "below") == expected


def test_elsewhere_it_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    assert conversion_cache(tmp_path) == tmp_path / "own" / "kedge" / "conversions"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for none in ("", "relative/is/not/allowed"):
        monkeypatch.setenv("XDG_CACHE_HOME", none)
        assert conversion_cache(tmp_path) == tmp_path / "home" / ".cache" / "kedge" / "conversions"
