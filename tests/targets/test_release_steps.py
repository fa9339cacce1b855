"""A release on its way over the host's side of a board: in memory, and over a real SSH server."""

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from device_agent.contract.codes import (
    NOT_FOUND,
    REPLAYED,
    STALE_EPOCH,
    UNTRUSTED,
    IntegrityError,
)
from device_agent.contract.delta_format import PATCH
from device_agent.contract.manifest import RELEASE_NAMESPACE
from device_agent.contract.order import ORDER_NAMESPACE, encode_order, order_digest
from targets.agent_client import AgentClient, AgentError
from targets.provision import open_device
from targets.releases import Releases
from tests.boards import start_board
from tests.device_agent.releases.signed import (
    APP,
    FLEET,
    VARIANT,
    SampleRelease,
    signature,
    trust_request,
)
from tests.fake_board import FakeBoard
from tests.targets.loopback import target_of
from toolkit.bundle.delta import best_delta


@pytest.fixture(params=["in memory", "ssh"])
def releases(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Releases]:
    if request.param == "in memory":
        board = FakeBoard(tmp_path / "board")
        yield Releases(AgentClient(board.connect().open(" serve "), "fake"))
        return
    with start_board("ssh") as ssh_board, open_device(target_of(ssh_board)) as device:
        yield device.releases


def enroll(releases: Releases) -> None:
    request = trust_request("ann")
    assert releases.trust(request["root"].encode(), []) == 1


def send(releases: Releases, release: SampleRelease) -> None:
    sizes = {digest: len(content) for digest, content in release.blobs.items()}
    for digest in releases.missing(sizes):
        releases.send(io.BytesIO(release.blobs[digest]), digest, sizes[digest])


def stage(releases: Releases, release: SampleRelease, signer: str = "ann") -> str:
    signed = signature(release.text, RELEASE_NAMESPACE, signer).encode()
    return releases.stage(release.text, [signed], VARIANT, 1)


def activate(releases: Releases, release: SampleRelease, counter: int, epoch: int = 1) -> str:
    """Give the order; return its digest."""
    text = encode_order(release.order(counter))
    signed = signature(text, ORDER_NAMESPACE, "ann").encode()
    state = releases.activate(text, [signed], epoch, 600, hooks=False)
    assert state.current == release.digest
    assert state.trial is not None
    assert 0 < state.trial.remaining_s <= 600
    return order_digest(text)


def test_a_release_is_staged_activated_confirmed_and_reverted(releases: Releases) -> None:
    assert releases.state().root_version == 0
    enroll(releases)
    first, second = SampleRelease(1), SampleRelease(2)
    send(releases, first)
    assert stage(releases, first) == first.digest
    order = activate(releases, first, 1)
    assert releases.confirm(APP, first.digest, order, 1).trial is None

    send(releases, second)
    stage(releases, second)
    activate(releases, second, 2)
    state = releases.revert(APP, second.digest, "too slow", 1)
    assert (state.current, state.last_reason) == (first.digest, "too slow")

    board = releases.state()
    assert (board.fleet, board.root_version, board.epoch) == (FLEET, 1, 1)
    assert board.verifier
    assert board.apps[APP].current == first.digest
    events = [entry["event"] for entry in releases.log()]
    assert events[-1] == "revert"
    assert "confirm" in events
    assert releases.log(after=len(events)) == ()
    assert releases.collect(1, []).removed >= 0


def test_a_refusal_keeps_its_code(releases: Releases) -> None:
    enroll(releases)
    release = SampleRelease(1)
    send(releases, release)
    with pytest.raises(AgentError) as refusal:
        stage(releases, release, signer="eve")
    assert refusal.value.code == UNTRUSTED
    assert refusal.value.exit_code == 7

    changed = signature(release.text, RELEASE_NAMESPACE, "ann").encode()
    with pytest.raises(IntegrityError):
        releases.stage(release.text.replace(b"1.1", b"1.2"), [changed], VARIANT, 1)

    stage(releases, release)
    order = activate(releases, release, 1)
    releases.confirm(APP, release.digest, order, 5)
    with pytest.raises(AgentError) as refusal:
        releases.revert(APP, release.digest, "", 1)
    assert refusal.value.code == STALE_EPOCH
    older = SampleRelease(1, files={"model.tflite": b"an older one"})
    with pytest.raises(AgentError) as refusal:
        send(releases, older)
        signed = signature(older.text, RELEASE_NAMESPACE, "ann").encode()
        releases.stage(older.text, [signed], VARIANT, 5)
        activate(releases, older, 1, epoch=5)
    assert refusal.value.code == REPLAYED
    with pytest.raises(AgentError) as refusal:
        releases.health("other")
    assert refusal.value.code == NOT_FOUND


def test_a_file_travels_as_its_difference(releases: Releases, tmp_path: Path) -> None:
    enroll(releases)
    noise = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(2000))
    first = SampleRelease(1, files={"model.tflite": noise})
    send(releases, first)
    stage(releases, first)

    changed = noise[:30000] + b"a new layer" + noise[30000:]
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(noise)
    new.write_bytes(changed)
    delta = best_delta(old, new)
    assert delta.algorithm == PATCH
    target = (delta.target, delta.target_size)
    assert releases.send_delta(delta.content, PATCH, delta.base, target) < 1500
    assert releases.missing({delta.target: delta.target_size}) == frozenset()
    second = SampleRelease(2, files={"model.tflite": changed})
    assert stage(releases, second) == second.digest

    with pytest.raises(IntegrityError):
        releases.send_delta(
            delta.content[:-3], PATCH, delta.base, (hashlib.sha256().hexdigest(), 0)
        )
    with pytest.raises(AgentError) as refusal:
        releases.send_delta(delta.content, PATCH, "0" * 64, ("1" * 64, 5))
    assert refusal.value.code == NOT_FOUND
