"""A runtime that is no longer chosen goes, and only when nobody else can be using it."""

import io
import zipfile
from pathlib import Path

from targets.agent_client import AgentClient
from tests.device_agent.agents import open_agent, put, sha256_of

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
