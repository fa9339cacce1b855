"""A board in this process: the session of the agent over a folder, and its clocks."""

import hashlib
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from device_agent.board import boot
from device_agent.contract.conditions import Conditions
from device_agent.contract.wire import Request
from device_agent.operations.call import BoardAccess
from device_agent.session import AgentSession
from device_agent.store.store import Store
from tests.device_agent.releases.signed import APP, SampleRelease, trust_request


@dataclass
class SampleClock:
    """Stands in the place of the board's boot id and clocks."""

    boot_id: str = "boot-1"
    since_boot_s: float = 1000.0
    wall_clock_s: float = 1.79e9

    def install(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(boot, "boot_id", lambda: self.boot_id)
        patch.setattr(boot, "since_boot_s", lambda: self.since_boot_s)
        patch.setattr(boot, "wall_clock_s", lambda: self.wall_clock_s)

    def reboot(self) -> None:
        self.boot_id += "'"
        self.since_boot_s = 5.0


@dataclass
class SampleBoard:
    """A board: each request is one session, as each command of kedge is."""

    root: Path
    watched: list[str] = field(default_factory=list)

    def ask(self, op: str, args: dict[str, Any] | None = None, content: bytes = b"") -> Any:
        access = BoardAccess(
            Store(str(self.root)),
            _no_job,
            dict,
            Conditions,
            "",
            start_watcher=self.watched.append,
        )
        request = Request(1, op, args or {})
        return AgentSession(access).handle(request, io.BytesIO(content).read, _ignore).result

    def put(self, content: bytes) -> str:
        sha256 = hashlib.sha256(content).hexdigest()
        args = {"sha256": sha256, "size": len(content), "offset": 0}
        self.ask("put", args, content)
        return sha256

    def enrol(self, *signers: str, **fields: Any) -> None:
        assert self.ask("trust", trust_request(*(signers or ("ann",)), **fields))["version"] >= 1

    def stage(self, release: SampleRelease, epoch: int = 1) -> str:
        wanted = {"sha256": list(release.blobs), "sizes": [len(b) for b in release.blobs.values()]}
        for sha256 in self.ask("missing", wanted)["missing"]:
            self.put(release.blobs[sha256])
        return str(self.ask("stage", release.stage_request(epoch))["release"])

    def activate(self, release: SampleRelease, counter: int, **fields: Any) -> dict[str, Any]:
        state = self.ask("activate", release.activate_request(counter, **fields))["state"]
        return dict(state)

    def release(self, release: SampleRelease, counter: int, **fields: Any) -> None:
        """Stages, activates and confirms."""
        self.stage(release)
        self.activate(release, counter, **fields)
        self.ask("confirm", release.confirm_request(counter, **fields))

    def app(self) -> dict[str, Any]:
        return dict(self.ask("releases")["apps"][APP])

    def current(self) -> dict[str, bytes]:
        """Content of each file that a consumer finds."""
        folder = self.root / "store" / "apps" / APP / "current"
        names = [
            path.relative_to(folder).as_posix()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        ]
        own = ("manifest.json", "variant", "signatures")
        return {n: (folder / n).read_bytes() for n in names if n.split("/")[0] not in own}


def _ignore(_: dict[str, Any]) -> None:
    pass


def _no_job(*_: Any) -> dict[str, Any]:
    raise AssertionError("no job")
