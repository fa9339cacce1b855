"""`kedge target check` changes nothing on a board, and reads it with Python or without."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from targets.entry_checks import DEFAULT_ROOT
from targets.provision import open_device, remove_from_board
from tests.boards import BoardUnderTest, start_board
from tests.kedge import Ran, kedge
from tests.targets.loopback import target_of

#: Of the emulated board's disk: what its server, not its login, writes.
_SERVERS_OWN = ("sshd", "sshd.log", "client_key", "client_key.pub")


@pytest.fixture(params=["local", "ssh", pytest.param("arm64", marks=pytest.mark.arm64)])
def board(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[BoardUnderTest, Path]]:
    """A board of a test's own, and the folder that holds its home and its root."""
    home = tmp_path / "home"
    home.mkdir()
    settings = [f'SetEnv HOME="{home}" SHLVL=1'] if request.param == "ssh" else []
    with start_board(request.param, extra_config=settings) as started:
        place = started.root_on_host.parent if request.param == "arm64" else home
        yield started, place


def run(board: BoardUnderTest, home: Path, project: Path, *arguments: str) -> Ran:
    """Runs kedge; a local board has the HOME of the one who runs it."""
    own = {"HOME": str(home)} if board.kind == "local" else {}
    cache = os.environ.get("KEDGE_CACHE_DIR") or str(Path.home() / ".cache" / "kedge")
    return kedge(*arguments, cwd=project, env={"KEDGE_CACHE_DIR": cache, **own})


def everything(*folders: Path) -> dict[str, tuple[int, int, int]]:
    """Every file and folder with its mode, size and the time it was changed."""
    found = {}
    for top in folders:
        for path in [top, *top.rglob("*")]:
            if not set(path.relative_to(top).parts[:1]) & set(_SERVERS_OWN):
                facts = path.lstat()
                found[str(path)] = (facts.st_mode, facts.st_size, facts.st_mtime_ns)
    return found


def add(board: BoardUnderTest, home: Path, project: Path) -> None:
    arguments = ["target", "add", board.name, board.address]
    if board.identity is not None and board.host_key is not None:
        arguments += ["--identity", str(board.identity), "--host-key", board.host_key]
    ran = run(board, home, project, *arguments)
    assert ran.code == 0, ran.err


def test_reading_a_board_changes_nothing_on_it(
    board: tuple[BoardUnderTest, Path], tmp_path: Path
) -> None:
    under_test, place = board
    project = tmp_path / "project"
    project.mkdir()
    before = everything(place, under_test.root_on_host)
    add(under_test, place, project)
    ran = run(under_test, place, project, "target", "check", under_test.name, "--json")

    assert ran.code == 0, ran.err
    assert everything(place, under_test.root_on_host) == before
    told = ran.json
    assert told["verdict"] == ("READY WITH CAUTION" if under_test.kind == "arm64" else "READY")
    assert told["facts"]["emulated"] is (under_test.kind == "arm64")
    assert told["facts"]["libc"].startswith("glibc 2.")
    assert told["runtime"]["distribution"] == "ai-edge-litert"
    assert [entry["chosen"] for entry in told["pythons"]].count(True) == 1
    assert told["first_use"]["agent_bytes"] > 10_000
    assert told["first_use"]["has_runtime"] is False
    assert told["first_use"]["total_bytes"] > 20_000_000


def test_a_board_is_as_before_when_kedge_was_removed(
    board: tuple[BoardUnderTest, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_test, place = board
    if under_test.kind == "local":
        monkeypatch.setenv("HOME", str(place))
    target = target_of(under_test, DEFAULT_ROOT)  # of which no part is there yet
    model = tmp_path / "model.tflite"
    model.write_bytes(os.urandom(100_000))
    before = set(everything(place))
    with open_device(target) as device:
        staged = device.push(model)
        root = Path(device.root)
    if under_test.kind == "arm64":
        root = place / "home" / root.relative_to("/root")
    assert (root / "store/scratch" / staged.sha256).is_file()
    # what uploads and jobs leave that were cut
    (root / "agent/.new-4711").write_bytes(b"half")
    (root / "store/partial" / ("0" * 64)).write_bytes(b"half")
    (root / "store/work-4711").mkdir()
    (root / "store/work-4711/samples").write_bytes(b"half")

    assert remove_from_board(target)
    assert set(everything(place)) == before


def test_a_board_without_any_python_is_still_read(tmp_path: Path) -> None:
    with start_board("local") as board:
        add(board, tmp_path, tmp_path)
        # names that a version manager left, which start nothing
        hidden = tmp_path / "hidden"
        hidden.mkdir()
        for name in ("python3", *(f"python3.{minor}" for minor in range(7, 16))):
            (hidden / name).write_text("#!/bin/sh\nexit 127\n")
            (hidden / name).chmod(0o755)
        path = {"PATH": f"{hidden}:{os.environ['PATH']}"}
        ran = kedge("target", "check", board.name, "--json", cwd=tmp_path, env=path)
        shown = kedge("target", "check", board.name, cwd=tmp_path, env=path)

    assert ran.code == 6, ran.err
    told = ran.json
    assert told["verdict"] == "NOT READY"
    assert told["findings"][0]["level"] == "blocks"
    assert "Python 3.7" in told["findings"][0]["cause"]
    assert "apt-get install python3" in told["findings"][0]["fix"]
    assert told["runtime"] is None
    assert told["facts"]["machine"] == os.uname().machine
    assert told["facts"]["libc"].startswith("glibc 2.")
    assert told["facts"]["memory_bytes"] > 100 << 20
    assert told["facts"]["cores"] >= 1
    assert told["free_bytes"] > 0
    assert shown.code == 6
    assert "NOT READY" in shown.out
