"""Inference processes that crash, hang, lie or are left alone: each end has a name."""

import errno
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from device_agent import child
from device_agent.child import HostGoneError, run_job
from device_agent.contract.codes import CHILD_DIED, CHILD_TIMEOUT, INTERNAL, LIMIT, RefusalError
from tests.device_agent.agents import ended_within, processes_with

READ = "import json, sys, os, time, signal; job = json.loads(sys.stdin.readline())\n"


def run(
    program: str,
    timeout_s: float = 20,
    events: list[dict[str, Any]] | None = None,
    on_tick: Any = lambda: None,
    job: dict[str, Any] | None = None,
) -> dict[str, Any]:
    command = [sys.executable, "-I", "-c", program]
    seen = [] if events is None else events
    return run_job(command, job or {"job": "x"}, timeout_s, seen.append, on_tick)


def refusal(program: str, timeout_s: float = 20) -> RefusalError:
    with pytest.raises(RefusalError) as refused:
        run(program, timeout_s)
    return refused.value


def say(answer: str) -> str:
    return f"print({answer!r}, flush=True)\n"


@pytest.fixture(autouse=True)
def _no_file_is_left_open() -> Any:
    before = sorted(Path("/proc/self/fd").iterdir())
    yield
    assert sorted(Path("/proc/self/fd").iterdir()) == before


def test_an_answer_comes_back_with_its_events() -> None:
    events: list[dict[str, Any]] = []
    program = READ + say('{"event": {"done": 1}}') + "print(json.dumps({'result': job}))"

    assert run(program, events=events) == {"job": "x"}
    assert events == [{"done": 1}]


def test_a_large_job_and_a_large_answer_pass() -> None:
    job = {"job": "x" * 900_000}

    assert run(READ + "print(json.dumps({'result': job}))", job=job) == job


@pytest.mark.parametrize(
    ("number", "words", "hint"),
    [
        (signal.SIGSEGV, "segmentation fault", "damaged model"),
        (signal.SIGABRT, "aborted", "delegate"),
        (signal.SIGILL, "instruction that this CPU does not have", "newer CPU"),
        (signal.SIGKILL, "ran out of memory", "smaller model"),
        (signal.SIGBUS, "bus error", "storage"),
        (signal.SIGTERM, "signal 15", ""),
        (signal.SIGRTMIN + 2, "signal 36", ""),
    ],
    ids=str,
)
def test_a_signal_is_a_diagnosis(number: int, words: str, hint: str) -> None:
    died = refusal(READ + f"os.write(2, b'last words'); os.kill(os.getpid(), {int(number)})")

    assert died.code == CHILD_DIED
    assert words in str(died)
    assert str(died).endswith("\nlast words")
    assert hint in died.hint


def test_an_abort_names_the_phase_and_what_the_last_words_mean() -> None:
    phase = say('{"event": {"phase": "first inference"}}')
    words = "os.write(2, b'transfer in failed. USB transfer error 5'); os.abort()"
    died = refusal(READ + phase + words)

    assert "died in the phase `first inference`: the transfer to the Edge TPU" in str(died)
    assert "900 mA" in died.hint


def test_a_hint_does_not_contradict_what_happened() -> None:
    started = say('{"event": {"phase": "import the runtime"}}')
    killed = refusal(READ + started + "os.kill(os.getpid(), signal.SIGKILL)")
    wordless = refusal(READ + "os.abort()")

    assert "smaller model" in killed.hint
    assert "lines below" not in wordless.hint
    assert wordless.hint.startswith("A delegate of another version")


@pytest.mark.parametrize("code", [0, 3])
def test_a_silent_exit_is_told_with_its_code(code: int) -> None:
    died = refusal(f"import os; os._exit({code})")

    assert died.code == CHILD_DIED
    assert f"exited with {code} and no answer" in str(died)


def test_a_process_that_cannot_start_is_told() -> None:
    died = refusal("raise SystemExit('no such library')")

    assert "exited with 1 and no answer" in str(died)
    assert "no such library" in str(died)


@pytest.mark.parametrize("wait", ["time.sleep(60)", "os.kill(os.getpid(), signal.SIGSTOP)"])
def test_a_process_that_hangs_is_ended(wait: str, tmp_path: Path) -> None:
    began = time.monotonic()
    died = refusal(READ + f"{wait}  # {tmp_path}", 1.0)

    assert died.code == CHILD_TIMEOUT
    assert "no answer within 1 s" in str(died)
    assert "smaller model" in died.hint
    assert time.monotonic() - began < 30  # where the process would sleep for a minute
    assert processes_with(str(tmp_path)) == []


def test_a_process_that_never_reads_its_job_is_ended() -> None:
    began = time.monotonic()
    with pytest.raises(RefusalError) as refused:
        run("import time; time.sleep(60)", 1.0, job={"job": "x" * 900_000})

    assert refused.value.code == CHILD_TIMEOUT
    assert time.monotonic() - began < 30  # where the process would sleep for a minute


def test_an_endless_talker_is_ended_and_quoted_briefly() -> None:
    died = refusal(READ + "while True: os.write(2, b'noise ' * 1000)", 1.0)

    assert died.code == CHILD_TIMEOUT


def test_last_words_are_the_last() -> None:
    died = refusal(READ + "os.write(2, b'x' * 3_000_000 + b'the reason'); os.abort()")

    assert str(died).endswith("the reason")
    assert len(str(died)) < 2500


@pytest.mark.parametrize("garbage", ["hello", "[1]", "7", "\\xff\\xfe", "{", '{"a":' * 9_000])
def test_garbage_is_named(garbage: str) -> None:
    died = refusal(READ + f"sys.stdout.buffer.write({garbage!r}.encode('latin-1') + b'\\n')")

    assert died.code == CHILD_DIED
    assert "something that is no answer" in str(died)
    assert len(str(died)) < 1000


def test_a_line_that_is_nothing_is_no_answer() -> None:
    died = refusal(READ + say('{"surprise": 1}') + say('{"result": 7}'))

    assert "exited with 0 and no answer" in str(died)


def test_a_refusal_comes_back_as_one() -> None:
    died = refusal(READ + say('{"code": "model_refused", "message": "no", "hint": "do"}'))

    assert (died.code, str(died), died.hint) == ("model_refused", "no", "do")


def test_a_bug_comes_back_with_its_traceback() -> None:
    died = refusal(READ + say('{"code": "internal", "message": "oops"}') + "1 / 0")

    assert died.code == INTERNAL
    assert "ZeroDivisionError" in died.traceback


def test_an_answer_counts_although_the_process_crashes_after_it() -> None:
    program = READ + say('{"result": {"a": 1}}') + "os.kill(os.getpid(), signal.SIGSEGV)"

    assert run(program) == {"a": 1}


def test_an_answer_counts_although_the_process_hangs_after_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(child, "_EXIT_S", 0.5)
    pid = tmp_path / "pid"
    program = READ + f"open({str(pid)!r}, 'w').write(str(os.getpid()))\n"

    assert run(program + say('{"result": {"a": 1}}') + "time.sleep(60)") == {"a": 1}
    assert ended_within(int(pid.read_text()), 0)


def test_a_process_that_closes_its_output_and_stays_is_not_called_out_of_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(child, "_EXIT_S", 0.5)
    died = refusal(READ + "sys.stdout.close(); os.close(1); time.sleep(60)")

    assert "did not exit" in str(died)
    assert "memory" not in str(died)


def test_a_talkative_job_does_not_keep_the_agent_from_looking(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(child, "TICK_S", 0.1)
    ticks: list[int] = []
    program = READ + (
        "for _ in range(50):\n  print('{\"event\": {}}', flush=True); time.sleep(0.01)\n"
    )
    run(program + say('{"result": {}}'), on_tick=lambda: ticks.append(1))

    assert len(ticks) >= 3


def test_a_host_that_goes_ends_the_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(child, "TICK_S", 0.1)
    pid = tmp_path / "pid"

    def gone() -> None:
        if pid.exists() and pid.read_text():
            raise HostGoneError

    program = READ + f"open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    with pytest.raises(HostGoneError):
        run(program, on_tick=gone)

    assert ended_within(int(pid.read_text()), 0)


def test_no_core_file_is_written() -> None:
    program = READ + "import resource; print(json.dumps({'result': {'core': resource.getrlimit("
    answer = run(program + "resource.RLIMIT_CORE)}}))")

    assert answer == {"core": [0, 0]}


#: Starts a process that lives on in the ways that processes have, then does something more.
LIVES_ON = {
    "fork": "os.fork() or time.sleep(600)",
    "group": "os.fork() or (os.setpgid(0, 0), time.sleep(600))",
    "session": "os.fork() or (os.setsid(), time.sleep(600))",
    "daemon": "os.fork() or (os.setsid(), os.fork() and os._exit(0), time.sleep(600))",
    "popen": "import subprocess; subprocess.Popen(['sleep', '600'], start_new_session=True)",
}

AGENT = """
import sys
from device_agent.child import run_job
from device_agent.contract.codes import RefusalError
from device_agent.process_group import adopt_orphans
adopt_orphans()
command = [sys.executable, "-I", "-c", sys.argv[1], sys.argv[2]]
try:
    print(run_job(command, {}, 3.0, lambda event: None, lambda: None))
except RefusalError as refusal:
    print(refusal)
"""


@pytest.mark.parametrize(
    "end", ["print(json.dumps({'result': {}}))", "os.abort()", "time.sleep(9)"]
)
@pytest.mark.parametrize("way", sorted(LIVES_ON))
def test_nothing_that_a_job_started_outlives_it(way: str, end: str, tmp_path: Path) -> None:
    mark = f"sleep {tmp_path}"
    program = READ + f"mark = {mark!r}\n{LIVES_ON[way]}\ntime.sleep(0.3)\n{end}\n"
    program = program.replace("['sleep', '600']", f"['sh', '-c', 'sleep 600; # {mark}']")
    agent = [sys.executable, "-c", AGENT, program, str(tmp_path)]
    ran = subprocess.run(agent, cwd=Path(__file__).parents[2], capture_output=True, timeout=60)

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith((b"{}", b"the inference process "))
    assert processes_with(str(tmp_path)) == []


def test_other_children_of_the_agent_are_spared() -> None:
    with subprocess.Popen(["sleep", "600"]) as other:
        assert run(READ + say('{"result": {"a": 1}}')) == {"a": 1}
        assert other.poll() is None
        other.kill()


def test_a_death_in_the_import_is_no_fault_of_a_model() -> None:
    phase = say('{"event": {"phase": "import the runtime"}}')
    died = refusal(READ + phase + "os.kill(os.getpid(), signal.SIGSEGV)")

    assert "in the phase `import the runtime`: the runtime or a delegate crashed" in str(died)
    assert "model" not in died.hint
    assert "another `runtime`" in died.hint


def test_no_descriptor_left_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(subprocess, "Popen", none_left)
    reached = refusal("")

    assert reached.code == LIMIT
    assert "ulimit -n" in reached.hint
