"""Ctrl-C in the first moments of a command: one line and exit code 130, never a traceback."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

#: Presses Ctrl-C when a module is imported, and then goes on with the import for a while.
PRESS = """
import os, signal, sys, time
import toolkit.cli.start as start
class Press:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            {press}
sys.meta_path.insert(0, Press())
sys.argv = ["kedge", *{arguments!r}]
start.main()
"""
KILL = "os.kill(os.getpid(), signal.SIGINT); time.sleep(0.2)"
SWALLOWED = """
            try:
                os.kill(os.getpid(), signal.SIGINT); time.sleep(0.2)
            except KeyboardInterrupt:
                raise ImportError("numpy.core.multiarray failed to import")
"""


def run(module: str, press: str, *arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    program = PRESS.format(module=module, press=press, arguments=arguments)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("module", "press"),
    [
        ("click", KILL),
        ("toolkit.cli.main", KILL),
        ("toolkit.cli.output", KILL),
        ("toolkit.cli.target", KILL),
        ("tomlkit", KILL),
        ("tomlkit", SWALLOWED.strip()),
    ],
)
def test_an_import_that_is_interrupted_leaves_no_traceback(
    module: str, press: str, tmp_path: Path
) -> None:
    ran = run(module, press, "target", "list", cwd=tmp_path)

    assert ran.returncode == 130, ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stderr.strip() == "interrupted; an unfinished file is never used as a finished one"


def test_an_error_of_an_import_alone_is_a_bug(tmp_path: Path) -> None:
    ran = run("tomlkit", "raise ImportError('broken')", "target", "list", cwd=tmp_path)

    assert ran.returncode == 1
    assert "This is a bug in kedge" in ran.stderr


def test_a_process_in_the_background_goes_on_to_ignore_ctrl_c(tmp_path: Path) -> None:
    ignoring = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    program = ignoring + PRESS.format(module="click", press=KILL, arguments=("--version",))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=120)

    assert ran.returncode == 0, ran.stderr


def test_ctrl_c_at_any_moment(tmp_path: Path) -> None:
    for hundredths in range(15, 60, 5):
        command = [sys.executable, "-m", "toolkit.cli", "target", "list"]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE)
        time.sleep(hundredths / 100)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        if b"toolkit" in said:  # else Python itself was not yet up
            assert b"Traceback" not in said, said
