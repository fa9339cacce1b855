"""The agent's compiled code: faster, and never in the way."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from device_agent import code_cache
from targets.agent_archive import agent_archive
from targets.agent_client import AgentClient
from targets.local import LocalTransport
from targets.transport import UnreachableError


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / f"{agent_archive().sha256}.pyz"
    path.write_bytes(agent_archive().content)
    return path


def hello(program: Path) -> dict[str, object]:
    command = [sys.executable, "-I", str(program), "serve", str(program.parent / "root")]
    client = AgentClient(LocalTransport().open("exec " + shlex.join(command)), "board")
    try:
        return client.call("hello", {"facts": False})
    finally:
        client.close()


def code_of(archive: Path) -> Path:
    return Path(code_cache.path_of(str(archive)))


def test_the_first_start_writes_it_and_it_is_the_agent(archive: Path) -> None:
    answer = hello(archive)
    content = code_of(archive).read_bytes()

    assert hello(code_of(archive)) == answer == {"agent_sha256": agent_archive().sha256}
    assert code_of(archive).read_bytes() == content
    assert {path.suffix for path in archive.parent.iterdir() if path.is_file()} == {".pyz", ".pyc"}


@pytest.mark.parametrize("damage", ["empty", "cut", "bit", "other"])
def test_a_damaged_one_is_written_again(archive: Path, damage: str) -> None:
    hello(archive)
    whole = code_of(archive).read_bytes()
    middle = len(whole) // 2
    flipped = bytes([*whole[:middle], whole[middle] ^ 1]) + whole[middle + 1 :]
    content = {"empty": b"", "cut": whole[:-9], "bit": flipped, "other": b"\0\0\0\0N"}
    code_of(archive).write_bytes(content[damage])

    with pytest.raises(UnreachableError):
        hello(code_of(archive))
    hello(archive)
    assert code_of(archive).read_bytes() == whole


def test_its_bugs_have_tracebacks(archive: Path) -> None:
    hello(archive)
    program = (
        f"import runpy, sys; sys.argv = [{str(code_of(archive))!r}, 'serve', '/none']\n"
        "sys.stdin.close(); import os; os.close(0)\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-I", "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)

    assert f"{archive}/device_agent/__main__.py" in ran.stderr


def test_an_agent_that_nobody_uploaded_leaves_nothing_beside_it(tmp_path: Path) -> None:
    mine = tmp_path / "agent.pyz"
    mine.write_bytes(agent_archive().content)
    hello(mine)

    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["agent.pyz"]
