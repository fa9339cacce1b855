"""The agent as it is shipped, under every Python that it promises to run on."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from device_agent.contract.codes import BAD_REQUEST, NOT_FOUND
from device_agent.store.tree_files import write_list
from targets.agent_archive import agent_archive
from targets.agent_client import AgentClient, AgentError
from tests.device_agent.agents import files_below, open_agent, open_channel, put, sha256_of

OLDEST, NEWEST = 7, 13


def python_of(minor: int) -> str | None:
    found = sorted(Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python"))
    if found:
        return str(found[-1])
    named = shutil.which(f"python3.{minor}")  # may be a shim of a version that is not installed
    works = named and subprocess.run([named, "-V"], capture_output=True, check=False).returncode
    return named if works == 0 else None


@pytest.fixture(params=range(OLDEST, NEWEST + 1), ids=lambda minor: f"3.{minor}")
def python(request: pytest.FixtureRequest) -> str:
    found = python_of(request.param)
    if found is None:
        pytest.skip(f"Python 3.{request.param} is not installed")
    return found


def test_at_least_one_python_runs_the_agent() -> None:
    found = [minor for minor in range(OLDEST, NEWEST + 1) if python_of(minor)]

    assert found, sys.version


def test_the_agent_serves(python: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    content = bytes(range(256)) * 1000
    with open_agent(root, python) as client:
        facts = client.call("hello", {})
        with pytest.raises(AgentError, match="unknown operation 'fly'") as refused:
            client.call("fly", {})
        sha256 = put(client, content)
        fetched = client.get(sha256)
        before = client.sent_bytes
        put(client, content)
        sent_again = client.sent_bytes - before
        dropped = client.call("drop", {"sha256": [sha256]})
        with pytest.raises(AgentError) as gone:
            client.get(sha256)

    assert facts["agent_sha256"] == agent_archive().sha256
    version = subprocess.run([python, "-V"], capture_output=True, text=True, check=True)
    assert version.stdout.split()[1] == facts["python"]
    assert refused.value.code == BAD_REQUEST
    assert fetched == content
    assert sent_again < 300
    assert dropped == {"dropped": 1}
    assert gone.value.code == NOT_FOUND
    assert files_below(root) == []


def test_an_upload_resumes(python: str, tmp_path: Path) -> None:
    content = bytes(range(256)) * 4000
    sha256 = sha256_of(content)
    partial = tmp_path / "root" / "store" / "partial" / sha256
    partial.parent.mkdir(parents=True)
    partial.write_bytes(content[:1_000_000])
    with open_agent(tmp_path / "root", python) as client:
        put(client, content)
        sent = client.sent_bytes

        assert sent < 24_000 + 600
        assert client.get(sha256) == content


def test_a_job_that_cannot_import_its_runtime_is_refused(python: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    module = root / "store" / "runtimes" / ("a" * 64) / "tflite_runtime"
    module.mkdir(parents=True)
    (module / "__init__.py").write_text("print('a stray print')\n")
    (module / "interpreter.py").write_text("raise OSError('no such symbol')\n")
    (module.parent / "numpy.py").write_text("__version__ = '0'\n")
    write_list(str(module.parent))
    job = {"tree": "a" * 64, "runtime": "tflite-runtime", "timeout_s": 30}
    with open_agent(root, python) as client:
        with pytest.raises(AgentError, match="OSError: no such symbol") as refused:
            client.call("describe", job)
        facts = client.call("hello", {})  # the stray print is not on the wire

    assert refused.value.code == "runtime_import"
    assert facts["machine"]


def test_the_agent_exits_when_the_host_closes(python: str, tmp_path: Path) -> None:
    channel = open_channel(tmp_path / "root", python)
    client = AgentClient(channel, "board")
    client.call("hello", {})
    process = channel._process
    assert process.stdin is not None
    process.stdin.close()

    assert process.wait(60) == 0
    assert channel.last_words() == ""
    channel.close()
