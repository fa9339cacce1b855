"""Progress on a terminal: names are whole, and what has ended leaves one finished line."""

import re
import shlex
import subprocess
import sys

PROGRAM = """
from toolkit.cli import output
with output.progress() as show:
    name = "recipe 1 of 2, channels50_distill_qat_w8a8"
    show(name + ": train (loss 0.1)", 1, 3)
    show(name + ": train (loss 0.2)", 2, 3)
    show(name + ": done", 1, 1)
    show("recipe 2 of 2, ptq_w8a8: converted already", 1, 1)
    show("measure in turn", 1, 3)
"""


def screen(columns: int) -> str:
    """What the terminal received, without its control sequences."""
    program = f"{shlex.quote(sys.executable)} -c {shlex.quote(PROGRAM)}"
    command = ["script", "-qec", f"stty cols {columns}; {program}", "/dev/null"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.stdout)


def test_what_has_ended_is_a_line_and_no_bar_stays() -> None:
    lines = screen(80).splitlines()
    assert any(
        re.match(r"recipe 1 of 2, channels50_distill_qat_w8a8: done, .* [mu]?s", line)
        for line in lines
    ), lines
    assert "recipe 2 of 2, ptq_w8a8: converted already" in lines
    assert "━" not in lines[-1]


def test_a_name_is_never_cut() -> None:
    shown = screen(60)
    assert "…" not in shown
    assert "channels50_distill_qat_w8a8" in shown.replace("\n", "").replace(" ", "")
