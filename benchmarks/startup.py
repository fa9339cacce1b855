"""How long a command takes before it does anything: `kedge --help`, and the agent's first reply.

    python -m benchmarks.startup

Writes benchmarks/results/startup.md. Medians of fresh processes, in turn with a `python -c pass`
of the same run, so that the machine's own speed can be seen beside them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.machine import machine
from targets.agent_archive import agent_archive
from targets.agent_client import AgentClient
from targets.local import LocalTransport

RUNS = 15
RESULT = Path(__file__).parent / "results" / "startup.md"

#: What was set out to be reached, in seconds.
LIMITS_S = {"kedge --help": 0.5, "agent to its first reply": 0.15}


def main() -> None:
    """Measure, print and write the table."""
    with tempfile.TemporaryDirectory() as folder:
        agent = Path(folder) / "agent.pyz"
        agent.write_bytes(agent_archive().content)
        subjects: dict[str, Callable[[], None]] = {
            "python -c pass": lambda: _run([sys.executable, "-c", "pass"]),
            "kedge --help": lambda: _run([sys.executable, "-m", "toolkit.cli", "--help"]),
            "agent to its first reply": lambda: _first_reply(agent, folder),
        }
        seconds: dict[str, list[float]] = {name: [] for name in subjects}
        for _ in range(RUNS):
            for name, subject in subjects.items():
                started = time.perf_counter()
                subject()
                seconds[name].append(time.perf_counter() - started)
    lines = ["# Start-up", "", machine(), "", f"Medians of {RUNS} fresh processes, in turn.", ""]
    lines += ["| | median | limit | |", "|---|---|---|---|"]
    for name, values in seconds.items():
        limit = LIMITS_S.get(name)
        met = "" if limit is None else "met" if median(values) < limit else "NOT met"
        lines.append(f"| {name} | {median(values):.3f} s | {limit or ''} | {met} |")
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(RESULT.read_text(encoding="utf-8"))


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _first_reply(agent: Path, root: str) -> None:
    command = f"exec {sys.executable} -I {agent} serve {root}/store"
    client = AgentClient(LocalTransport().open(command), "this computer")
    try:
        client.call("offset", {"sha256": "0" * 64, "size": 1})
    finally:
        client.close()


if __name__ == "__main__":
    main()
