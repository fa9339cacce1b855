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


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / f"{agent_archive().sha256}.pyz"
    path.write_bytes(agent_archive().content)
    return path


def hello(archive: Path) -> dict[str, object]:
    command = [sys.executable, "-I", str(archive), "serve", str(archive.parent / "root")]
    client = AgentClient(LocalTransport().open("exec " + shlex.join(command)), "board")
    try:
        return client.call("hello", {"facts": False})
    finally:
        client.close()


def imports(archive: Path) -> str:
    """Where the agent's modules come from."""
    program = (
        f"import sys; sys.argv = [{str(archive)!r}]; sys.path.insert(0, {str(archive)!r})\n"
        "from device_agent import code_cache; code_cache.use_compiled_code(sys.argv[0])\n"
        "import device_agent.session as session\n"
        "loader = session.__loader__\n"
        "print(type(loader).__name__, len(loader.get_source('device_agent.session')) > 100)"
    )
    command = [sys.executable, "-I", "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_the_first_start_writes_it_and_the_next_uses_it(archive: Path) -> None:
    assert imports(archive) == "zipimporter True"
    hello(archive)
    code = Path(code_cache.path_of(str(archive)))
    first = code.read_bytes()
    answer = hello(archive)

    assert imports(archive) == "_Importer True"
    assert code.read_bytes() == first
    assert answer == {"agent_sha256": agent_archive().sha256}
    assert {path.suffix for path in archive.parent.iterdir() if path.is_file()} == {".pyz", ".code"}


@pytest.mark.parametrize("damage", ["empty", "cut", "bit", "other"])
def test_a_damaged_one_is_written_again(archive: Path, damage: str) -> None:
    hello(archive)
    code = Path(code_cache.path_of(str(archive)))
    whole = code.read_bytes()
    flipped = bytes([*whole[:5000], whole[5000] ^ 1]) + whole[5001:]
    content = {"empty": b"", "cut": whole[:-9], "bit": flipped, "other": b"\0\0\0\0N"}
    code.write_bytes(content[damage])

    assert imports(archive) == "zipimporter True"
    assert hello(archive) == {"agent_sha256": agent_archive().sha256}
    assert code.read_bytes() == whole


def test_an_agent_that_nobody_uploaded_leaves_nothing_beside_it(tmp_path: Path) -> None:
    mine = tmp_path / "agent.pyz"
    mine.write_bytes(agent_archive().content)
    hello(mine)

    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["agent.pyz"]
