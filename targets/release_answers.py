"""Checks of what a board says of its releases: types are right, values are not trusted. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from device_agent.contract.names import require_app, require_sha256
from device_agent.contract.records import RecordError
from device_agent.contract.release_state import AppState, BoardReleases

#: Most applications of a board, and most entries of its log in one answer.
MOST_APPS = 1000
MOST_LOG_ENTRIES = 10_000

#: Largest counter, epoch or version.
MOST_COUNTER = 1 << 62

#: Longest text in characters: a version, a reason, an id.
_MOST_TEXT = 2000


def check_releases(releases: BoardReleases) -> BoardReleases:
    """Return the state of a board's releases if every value is plausible.

    Raises:
        RecordError: A digest, a name, a number or a text is not what an agent of kedge sends.
    """
    if len(releases.apps) > MOST_APPS:
        raise RecordError(f"apps: {len(releases.apps)}, expected at most {MOST_APPS}")
    if releases.fleet:
        require_app(releases.fleet)
    _check_counters({"root_version": releases.root_version, "epoch": releases.epoch}.items())
    _check_counters([("free_bytes", releases.free_bytes)])
    texts = (releases.verifier, releases.verifier_absence, releases.reboot_recovery)
    _check_texts((*texts, releases.boot_id))
    for name, app in releases.apps.items():
        require_app(name)
        check_app_state(app)
    return releases


def check_app_state(app: AppState) -> AppState:
    """Return the state of an application if every value is plausible.

    Raises:
        RecordError: A digest, a number or a text is not what an agent of kedge sends.
    """
    _check_digests({"current": app.current, "previous": app.previous, "order": app.order}.items())
    counters = ("order_counter", "release_counter", "security_floor")
    _check_counters((name, getattr(app, name)) for name in counters)
    _check_texts((app.version, app.variant, app.last_event, app.last_reason))
    if app.since < 0:
        raise RecordError(f"since: expected 0 or more, found {app.since}")
    trial = app.trial
    if trial is not None:
        require_sha256(trial.release, "trial.release")
        _check_digests({"previous": trial.previous, "order": trial.order}.items())
        _check_counters([("trial.epoch", trial.epoch)])
        if trial.remaining_s < 0:
            raise RecordError(f"remaining_s: expected 0 or more, found {trial.remaining_s}")
    return app


def _check_digests(digests: Iterable[tuple[str, str]]) -> None:
    """Refuse what is neither empty nor a digest."""
    for name, digest in digests:
        if digest:
            require_sha256(digest, name)


def _check_counters(counters: Iterable[tuple[str, int]]) -> None:
    for name, number in counters:
        if not 0 <= number <= MOST_COUNTER:
            raise RecordError(f"{name}: expected 0 to {MOST_COUNTER}, found {number}")


def _check_texts(texts: Iterable[str]) -> None:
    for text in texts:
        if len(text) > _MOST_TEXT:
            raise RecordError(f"a text of {len(text)} characters, expected at most {_MOST_TEXT}")
