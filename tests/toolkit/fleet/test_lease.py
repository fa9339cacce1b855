"""The lease of the controller."""

from pathlib import Path

from toolkit.fleet.lease import hold_lease, is_lease_free


def test_whether_a_controller_runs_is_seen_without_the_lock(tmp_path: Path) -> None:
    journal = tmp_path / "fleet.db"
    with hold_lease(journal, "Ada"):
        held = is_lease_free(journal)

    assert not held
    assert is_lease_free(journal)
    assert not is_lease_free(tmp_path / "other.db")
