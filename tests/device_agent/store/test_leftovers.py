"""A runtime that is no longer chosen goes, and only when nobody else can be using it."""

import io
import os
import time
import zipfile
from pathlib import Path

import pytest

from targets.agent_client import AgentClient, AgentError
from tests.device_agent.agents import open_agent, put, sha256_of
from tests.onnx_models import convolution_model
from tests.tiny_model import relu_model

RESERVE = {"who": "me@host", "timeout_s": 0}


def wheel(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"{name}/__init__.py", f"NAME = {name!r}")
    return buffer.getvalue()


def unpack(client: AgentClient, name: str, **more: object) -> str:
    tree = sha256_of(name.encode())
    client.call("unpack", {"tree": tree, "wheels": [put(client, wheel(name))], **more})
    return tree


def runtimes(root: Path) -> set[str]:
    return {path.name for path in (root / "store/runtimes").iterdir()}


def test_the_runtimes_of_this_session_stay_and_older_ones_go(tmp_path: Path) -> None:
    root = tmp_path / "root"
    with open_agent(root) as client:
        unpack(client, "old")
    with open_agent(root) as client:
        client.call("reserve", RESERVE)
        first = unpack(client, "first", keep=[])
        assert runtimes(root) == {first}
        second = unpack(client, "second", keep=[first])

        assert runtimes(root) == {first, second}
        assert (root / "store/runtimes" / second / "second/__init__.py").is_file()
    assert not list(root.glob("store/work-*"))


def test_nothing_goes_while_another_session_has_the_board(tmp_path: Path) -> None:
    root = tmp_path / "root"
    with open_agent(root) as user, open_agent(root) as client:
        user.call("reserve", RESERVE)
        used = unpack(user, "used")
        new = unpack(client, "new", keep=[])

        assert runtimes(root) == {used, new}


def test_a_runtime_that_was_being_removed_when_the_power_went_is_cleaned_up(tmp_path: Path) -> None:
    root = tmp_path / "root"
    half = root / "store/work-999999999/half"
    half.mkdir(parents=True)
    with open_agent(root) as client:
        client.call("reserve", RESERVE)
        unpack(client, "new", keep=[])

    assert not half.exists()


def test_what_a_killed_session_left_of_its_jobs_goes(tmp_path: Path) -> None:
    root = tmp_path / "root"
    models = relu_model(), convolution_model(size=8, channels=4, layers=1)
    old_wheel, new_wheel = wheel("old"), wheel("new")
    with open_agent(root) as client:
        for content in (*models, old_wheel, new_wheel, b"a tensor", b"\x08\x00\x12", b""):
            put(client, content)
    scratch = root / "store/scratch"
    days_ago = time.time() - 2 * 86400
    os.utime(scratch / sha256_of(old_wheel), (days_ago, days_ago))
    with open_agent(root) as client:
        client.call("reserve", RESERVE)
        tensor = put(client, b"the tensor of this session")
        client.call("reserve", RESERVE)
        left = {path.name for path in scratch.iterdir()}

    assert left == {*map(sha256_of, models), sha256_of(new_wheel), tensor}


def test_what_another_session_needs_for_its_job_stays(tmp_path: Path) -> None:
    with open_agent(tmp_path / "root") as user, open_agent(tmp_path / "root") as other:
        user.call("reserve", RESERVE)
        tensor = put(user, b"a tensor")
        with pytest.raises(AgentError, match="is using this board"):
            other.call("reserve", RESERVE)

        assert user.get(tensor) == b"a tensor"
