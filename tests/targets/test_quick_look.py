"""A look at the releases of a board without its agent: right, or nothing."""

import hashlib
import json
from pathlib import Path

import pytest

from targets.local import LocalTransport
from targets.quick_look import look_at_releases

MANIFEST = '{"version":"1.2"}\n'
RELEASE, ORDER = hashlib.sha256(MANIFEST.encode()).hexdigest(), "b" * 64
FLOOR = {
    "confirmed_order": ORDER,
    "order_counter": 3,
    "release_counter": 4,
    "security_floor": 2,
    "since": 1.5,
    "last_event": "confirm",
    "last_reason": "",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    store = tmp_path / "its root/store"
    for app in ("cats", "dogs"):
        (store / "apps" / app).mkdir(parents=True)
        (store / "apps" / app / "current").symlink_to(f"../../rel/{RELEASE}")
    (store / "rel" / RELEASE).mkdir(parents=True)
    (store / "rel" / RELEASE / "manifest.json").write_text(MANIFEST)
    (store / "rel" / RELEASE / "variant").write_text("cpu_int8\n")
    write_floor(tmp_path / "its root", {"cats": FLOOR, "dogs": FLOOR})
    return tmp_path / "its root"


def write_floor(root: Path, apps: object, epoch: object = 7) -> None:
    text = json.dumps({"apps": apps, "epoch": epoch}) + "\n6c679c9c\n"
    (root / "store/floor.json").write_text(text)


def test_it_says_what_runs(root: Path) -> None:
    with LocalTransport() as way:
        releases = look_at_releases(way, str(root))

    assert releases is not None
    assert [*releases.apps] == ["cats", "dogs"]
    assert releases.epoch == 7
    app = releases.apps["cats"]
    assert (app.current, app.order, app.since, app.security_floor) == (RELEASE, ORDER, 1.5, 2)
    assert (app.version, app.variant) == ("1.2", "cpu_int8")


@pytest.mark.parametrize(
    "case", ["trial", "link", "dangling", "damaged", "floor", "cut", "number", "empty"]
)
def test_what_is_not_plain_is_left_to_the_agent(root: Path, case: str) -> None:
    app = root / "store/apps/cats"
    if case == "trial":
        (app / "trial.json").write_text("{}")
    elif case == "link":
        (app / "current").unlink()
        (app / "current").symlink_to("/etc")
    elif case == "dangling":
        (root / "store/rel" / RELEASE / "manifest.json").unlink()
    elif case == "damaged":
        (root / "store/rel" / RELEASE / "manifest.json").write_text(MANIFEST.replace("2", "3"))
    elif case == "floor":
        write_floor(root, {"dogs": FLOOR})
    elif case == "cut":
        (root / "store/floor.json").write_text('{"apps": {"cats"')
    elif case == "number":
        write_floor(root, {"cats": {**FLOOR, "since": "soon"}, "dogs": FLOOR})
    else:
        (root / "store/floor.json").unlink()

    with LocalTransport() as way:
        assert look_at_releases(way, str(root)) is None


def test_a_board_without_releases_is_left_to_the_agent(tmp_path: Path) -> None:
    with LocalTransport() as way:
        assert look_at_releases(way, str(tmp_path)) is None
