"""Several inference processes at once, in a real process that forks them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from device_agent.contract.codes import BAD_REQUEST, CHILD_DIED

PROGRAM = """
import json, os, signal, sys, time
from device_agent.contract.codes import BAD_REQUEST, RefusalError
from device_agent.job_fields import Job
from device_agent.timing.streams import time_streams

def benchmark(job, gate):
    number = int(os.path.basename(job.folder))
    time.sleep(0.3 * number)  # the slowest is waited for
    {fault}
    gate()
    began = time.monotonic()
    return {{"began": began, "pid": os.getpid()}}

job = Job("streams", "", folder=sys.argv[1], streams=3)
try:
    print(json.dumps(time_streams(job, benchmark)))
except RefusalError as refusal:
    print(json.dumps({{"code": refusal.code, "message": str(refusal)}}))
"""


def run(folder: Path, fault: str = "") -> Any:
    command = [sys.executable, "-c", PROGRAM.format(fault=fault), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


def test_all_begin_together_once_the_slowest_is_ready(tmp_path: Path) -> None:
    results = run(tmp_path)
    begins = [result["began"] for result in results]
    assert len({result["pid"] for result in results}) == 3
    assert max(begins) - min(begins) < 0.25
    assert all(result["others_cores"] >= 0 for result in results)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("if number == 1: os.kill(os.getpid(), signal.SIGKILL)", CHILD_DIED),
        ("if number == 1: raise RefusalError(BAD_REQUEST, 'no')", BAD_REQUEST),
        ("if number == 1: raise MemoryError", "internal"),
    ],
)
def test_one_that_dies_or_refuses_ends_all(fault: str, code: str, tmp_path: Path) -> None:
    started = time.monotonic()
    assert run(tmp_path, fault)["code"] == code
    assert time.monotonic() - started < 30


def test_none_is_left_behind_when_the_first_fails(tmp_path: Path) -> None:
    fault = (
        "open(os.path.join(job.folder, 'pid'), 'w').write(str(os.getpid()))\n"
        "    if number == 0: raise RefusalError(BAD_REQUEST, 'no')\n"
        "    time.sleep(600)"
    )
    assert run(tmp_path, fault)["code"] == BAD_REQUEST
    for number in (1, 2):
        pid_file = tmp_path / str(number) / "pid"
        if pid_file.exists():
            with pytest.raises(ProcessLookupError):
                os.kill(int(pid_file.read_text()), signal.SIG_DFL)
