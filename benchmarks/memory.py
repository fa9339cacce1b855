"""What the agent and its inference process take of a board's memory.

Private memory (`Private_Clean` and `Private_Dirty` of `smaps_rollup`): what ending the process
would give back. Another agent runs meanwhile, so that the code of the interpreter is shared, as on
a board on which Python already runs.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from statistics import median

from targets.agent_archive import agent_archive
from targets.agent_client import AgentClient, AgentError
from targets.device import Device
from targets.jobs import ProcessSettings
from targets.local import LocalTransport

MIB = 1 << 20

#: What was set out to be reached.
AGENT_LIMIT_BYTES = 8 * MIB
CHILD_LIMIT_BYTES = 5 * MIB

#: A loop is looked at so long after it began, and lasts so long at least.
_LOOK_AFTER_S = 0.5
_LOOP_S = 1.5

_BARE = """
import sys, time, numpy
from ai_edge_litert.interpreter import Interpreter
it = Interpreter(model_path=sys.argv[1], num_threads=1)
it.allocate_tensors()
for d in it.get_input_details():
    it.set_tensor(d["index"], numpy.zeros(d["shape"], d["dtype"]))
print("loop", flush=True)
end = time.perf_counter() + float(sys.argv[2])
while time.perf_counter() < end:
    it.invoke()
"""


def memory_table(device: Device, model: Path, folder: Path, rounds: int) -> list[str]:
    """Measure, and say whether the limits are met."""
    agent = median(agent_bytes(folder / f"agent-{number}") for number in range(rounds))
    children, bare = [], []
    for _ in range(rounds):
        children.append(child_bytes(device, model))
        bare.append(bare_bytes(model))
    above = median(children) - median(bare)
    return [
        "## Memory",
        "",
        f"Private memory; medians of {rounds} fresh processes. The agent: of a Python without",
        f"packages, idle after an upload and a job. The other two: in turn, with {model.stem},",
        f"{_LOOK_AFTER_S} s after their loop began.",
        "",
        "| | MiB | limit | |",
        "|---|---|---|---|",
        _row("the agent, idle in a session", agent, AGENT_LIMIT_BYTES),
        _row("its inference process", median(children), None),
        _row("a bare process: the same runtime and model", median(bare), None),
        _row("the inference process above the bare one", above, CHILD_LIMIT_BYTES),
        "",
    ]


def _row(name: str, count: float, limit: int | None) -> str:
    told = "" if limit is None else f"{limit / MIB:.0f}"
    met = "" if limit is None else "met" if count <= limit else "NOT met"
    return f"| {name} | {count / MIB:.2f} | {told} | {met} |"


def private_bytes(pid: int) -> int:
    """What ending this process would give back."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


def agent_bytes(folder: Path) -> int:
    """Start two agents with a Python that has no packages, let each do something; look at one.

    A development install lets every Python of its environment import more when it starts.
    """
    python = folder / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", python], check=True)
    archive = folder / "agent.pyz"
    archive.write_bytes(agent_archive().content)
    clients = []
    for name in ("beside", "looked-at"):
        command = f"exec {python}/bin/python -I {archive} serve {folder}/{name}"
        client = AgentClient(LocalTransport().open(command), name)
        clients.append(client)
        client.call("hello", {})
        client.call("reserve", {"who": "benchmark", "timeout_s": 1})
        _put(client, archive)
        with suppress(AgentError):  # there is no runtime, but a process was started to find out
            client.call("describe", {"tree": "", "runtime": "tflite-runtime", "timeout_s": 60})
    try:
        (pid,) = _processes_with(f"{archive}\0serve\0{folder}/looked-at")
        return private_bytes(pid)
    finally:
        for client in clients:
            client.close()


def _put(client: AgentClient, path: Path) -> None:
    with path.open("rb") as file:
        client.put(file, agent_archive().sha256, path.stat().st_size)


def child_bytes(device: Device, model: Path) -> int:
    """Look at an inference process in the middle of its timed loop."""
    staged = device.push(model)
    seen: list[int] = []

    def look() -> None:
        time.sleep(_LOOK_AFTER_S)
        archive = f"{device.root}/agent/{agent_archive().sha256}.pyz"
        seen.extend(private_bytes(pid) for pid in _processes_with(f"{archive}\0job"))

    watcher = threading.Thread(target=look)

    def on_progress(phase: str, *_: int) -> None:
        if phase == "warm-up":
            watcher.start()

    device.jobs.benchmark(staged, ProcessSettings(1, 0.1, _LOOP_S), on_progress)
    watcher.join()
    (found,) = seen
    return found


def _processes_with(words: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if words.encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def bare_bytes(model: Path) -> int:
    """Look at a process that does nothing but load the model and invoke it."""
    command = [sys.executable, "-I", "-c", _BARE, str(model), str(_LOOP_S)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(_LOOK_AFTER_S)
        return private_bytes(process.pid)
