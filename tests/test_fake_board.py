"""The board in memory: it behaves as a real board does, and its faults show as the right errors."""

import os
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from device_agent.__main__ import board_facts
from device_agent.contract.codes import IntegrityError
from device_agent.timing.usage import rss_bytes
from targets import provision
from targets.agent_archive import agent_archive
from targets.agent_client import AgentError
from targets.board_disk import BoardDiskError
from targets.device import Device
from targets.inventory import Target
from targets.jobs import ProcessSettings
from targets.provision import open_device
from targets.transport import DeadlineError, UnreachableError
from tests.fake_board import FakeBoard, connect_to, simulated_job
from tests.targets.loopback import let_boards_use_the_tests_python, with_own_runtime
from tests.tiny_model import relu_model

MODEL = relu_model()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.tflite"
    path.write_bytes(MODEL)
    return path


@pytest.fixture
def board(tmp_path: Path) -> FakeBoard:
    return FakeBoard(tmp_path / "board")


@pytest.fixture
def target(board: FakeBoard, monkeypatch: pytest.MonkeyPatch) -> Target:
    let_boards_use_the_tests_python(monkeypatch)
    monkeypatch.setattr(provision, "connect", connect_to({"fake": board}))
    return with_own_runtime(Target("fake", "local", root=str(board.root)))


def use(device: Device, model: Path) -> None:
    """What every board must do: take a file once, load a runtime, time a model."""
    assert device.facts.cores >= 1
    first, second = device.push(model), device.push(model)
    assert second.sent_bytes < 1000
    assert Path(first.path).read_bytes() == MODEL
    assert device.prepare_runtime("tflite").runtime
    run = device.jobs.benchmark(first, ProcessSettings(threads=1, warmup_s=0.0, duration_s=0.05))
    assert len(run.samples_ns) == run.run.sample_count >= 10
    assert sum(run.samples_ns) <= run.run.wall_ns
    assert run.end_to_end_ns
    assert {"before", "after"} <= {entry.moment for entry in run.conditions}
    assert list(Path(device.root, "store").glob("work-*")) == []


@pytest.mark.parametrize("kind", ["fake", "real"])
def test_it_does_what_a_board_does(
    kind: str, target: Target, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "real":
        monkeypatch.undo()
        let_boards_use_the_tests_python(monkeypatch)
        target = with_own_runtime(Target("here", "local", root=str(tmp_path / "real")))
    for has_agent in (False, True):
        with provision.connect(target) as way:
            probe = provision.probe_board(way, target.root, agent_archive().sha256, None)
            assert probe.has_agent == has_agent
        with open_device(target) as device:
            use(device, model)


def test_a_slow_board_is_given_up_without_waiting(
    target: Target, board: FakeBoard, model: Path
) -> None:
    board.faults.delay_s = 5.0
    with open_device(target) as device:
        assert board.clock_s >= 5.0
        board.faults.delay_s = 1e6
        with pytest.raises(DeadlineError, match="silent"):
            device.push(model)


def test_a_full_board_says_so_and_keeps_nothing(
    target: Target, board: FakeBoard, model: Path
) -> None:
    with open_device(target) as device:
        board.faults.free_bytes = 100
        with pytest.raises(BoardDiskError):
            device.push(model)
        assert list(board.root.glob("store/*/*")) == []
        board.faults.free_bytes = None
        device.push(model)  # the conversation goes on


def test_a_board_that_lies_is_not_believed(target: Target, board: FakeBoard, model: Path) -> None:
    with open_device(target) as device:
        staged = device.push(model)
        device.prepare_runtime("tflite")
        board.faults.lies = True
        with pytest.raises(IntegrityError):
            device.jobs.benchmark(staged, ProcessSettings(threads=1, warmup_s=0.0, duration_s=0.01))


def test_a_cut_link_resumes_where_it_was(target: Target, board: FakeBoard, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(os.urandom(1 << 20))
    with open_device(target) as device:
        board.faults.cut_after_bytes = 700_000
        with pytest.raises(UnreachableError):
            device.push(large)
    board.faults.cut_after_bytes = None
    with open_device(target) as device:
        assert device.push(large).sent_bytes < 400_000


def test_an_agent_that_dies_is_lost_and_starts_again(
    target: Target, board: FakeBoard, model: Path
) -> None:
    board.faults.dies_at = "describe"
    with open_device(target) as device, pytest.raises(UnreachableError):
        device.prepare_runtime("tflite")
    board.faults.dies_at = ""
    with open_device(target) as device:
        device.prepare_runtime("tflite")  # the reservation went with the agent


def test_of_two_hosts_the_second_waits(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("targets.device.RESERVE_TIMEOUT_S", 0.0)
    with open_device(target) as first:
        first.prepare_runtime("tflite")
        with open_device(target) as second, pytest.raises(AgentError, match="is using this board"):
            second.prepare_runtime("tflite")


def test_a_seed_gives_the_same_times(target: Target, board: FakeBoard, model: Path) -> None:
    runs = []
    for _ in range(2):
        board.run_job = simulated_job(seed=3, median_us=500)
        with open_device(target) as device:
            staged = device.push(model)
            device.prepare_runtime("tflite")
            settings = ProcessSettings(threads=1, warmup_s=0.0, duration_s=0.1)
            runs.append(device.jobs.benchmark(staged, settings).samples_ns)
    assert runs[0] == runs[1]
    assert 480_000 < sorted(runs[0])[len(runs[0]) // 2] < 520_000


def test_a_thousand_boards_fit_into_one_process(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = board_facts()
    boards = {f"b{n}": FakeBoard(tmp_path / f"b{n}", facts=facts) for n in range(1000)}
    monkeypatch.setattr(provision, "connect", connect_to(boards))
    before, memory_before = resources(), rss_bytes()
    with ExitStack() as stack:
        for name, board in boards.items():
            target = Target(name, "local", root=str(board.root))
            stack.enter_context(open_device(target)).push(model)
        assert resources() == before
        assert rss_bytes() - memory_before < 100 << 20
    assert resources() == before


def resources() -> tuple[int, int]:
    """Numbers of open files and of threads of this process."""
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
