"""A hidden folder of a conversion that was killed is removed by the next one, and no other is."""

import signal
import subprocess
import sys
from pathlib import Path

from converters.workspace import make_workspace

#: Works in a folder until it is killed.
_WORKER = """
import sys, time
from pathlib import Path
from converters.workspace import make_workspace
with make_workspace(Path(sys.argv[1])) as work:
    (work / "inner").mkdir()
    (work / "inner" / "model.keras").write_bytes(b"x" * 1000)
    print(work, flush=True)
    time.sleep(600)
"""


def start_worker(out: Path) -> "tuple[subprocess.Popen[str], Path]":
    process = subprocess.Popen(
        [sys.executable, "-c", _WORKER, str(out)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_what_a_killed_conversion_left_is_removed_with_all_that_is_in_it(tmp_path: Path) -> None:
    process, work = start_worker(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (work / "inner" / "model.keras").exists()

    with make_workspace(tmp_path) as own:
        assert list(tmp_path.iterdir()) == [own]
    assert not list(tmp_path.iterdir())


def test_the_folder_of_one_who_works_is_not_touched(tmp_path: Path) -> None:
    process, work = start_worker(tmp_path)
    try:
        with make_workspace(tmp_path) as own:
            assert own != work
            assert (work / "inner" / "model.keras").exists()
    finally:
        process.kill()
        process.communicate()


def test_files_and_links_of_such_a_name_stay(tmp_path: Path) -> None:
    precious, out = tmp_path / "precious", tmp_path / "out"
    precious.mkdir()
    out.mkdir()
    (precious / "data").write_text("mine")
    (out / ".kedge-link").symlink_to(precious)
    (out / ".kedge-lock").write_text("process 1")

    with make_workspace(out):
        pass

    assert (precious / "data").read_text() == "mine"
    assert sorted(path.name for path in out.iterdir()) == [".kedge-link", ".kedge-lock"]
