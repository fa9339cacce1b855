"""How fast a file reaches a board: through the agent, with and without its fsync, and with scp."""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import time
from pathlib import Path
from statistics import median

from targets.agent_archive import agent_archive
from targets.agent_client import AgentClient
from targets.inventory import Target
from targets.provision import connect, open_device
from toolkit.demo.sshd import LoopbackSshd

UPLOAD_BYTES = 60 * 10**6

#: Of the speed of scp, which neither hashes nor syncs.
SYNCED_AIM, UNSYNCED_AIM = 0.6, 0.9
SECOND_PUSH_AIM_BYTES = 4096

#: The agent, with an fsync that does nothing.
_UNSYNCED = """
import os, sys
os.fsync = os.sync = lambda *_: None
sys.path.insert(0, sys.argv[1])
from device_agent.__main__ import main
sys.exit(main(sys.argv[2:]))
"""


def upload_table(sshd: LoopbackSshd, folder: Path, rounds: int) -> list[str]:
    """Measure in turn, each round with other bytes."""
    payload = os.urandom(UPLOAD_BYTES)
    file = folder / "payload"
    target = Target(
        "ssh",
        sshd.address,
        host_key=sshd.host_key_fingerprint,
        host_key_type=sshd.host_key_type,
        identity=sshd.identity,
        root=str(folder / "ssh-root"),
    )
    known_hosts = folder / "known_hosts"
    known_hosts.write_text(sshd.known_hosts + "\n", encoding="utf-8")
    empty = folder / "empty"
    empty.touch()
    copied = folder / "copied"
    seconds: dict[str, list[float]] = {"synced": [], "unsynced": [], "scp": [], "connect": []}
    for number in range(rounds):
        file.write_bytes(number.to_bytes(4, "big") + payload[4:])
        seconds["synced"].append(_by_agent(target, file))
        second_push_bytes = _second_push_bytes(target, file)
        file.write_bytes(number.to_bytes(4, "little") + payload[4:-1] + b"-")
        seconds["unsynced"].append(_by_unsynced_agent(target, file))
        seconds["scp"].append(_by_scp(sshd, file, known_hosts, copied))
        seconds["connect"].append(_by_scp(sshd, empty, known_hosts, copied))
    bare = [a - b for a, b in zip(seconds["scp"], seconds["connect"], strict=True)]
    scp, bare_scp = (UPLOAD_BYTES / 1e6 / median(taken) for taken in (seconds["scp"], bare))
    met = "met" if second_push_bytes < SECOND_PUSH_AIM_BYTES else "NOT met"
    return [
        f"## Upload of {UPLOAD_BYTES / 1e6:.0f} MB over loopback SSH",
        "",
        f"Medians of {rounds}, in turn, each after a sync; without connecting for the agent, with",
        "it for scp. The last row leaves out what scp takes for an empty file.",
        "",
        "| | MB/s | of scp | aim | |",
        "|---|---|---|---|---|",
        _row("agent, hashed and fsynced", seconds["synced"], seconds["scp"], SYNCED_AIM),
        _row(
            "agent, hashed, its fsync left out", seconds["unsynced"], seconds["scp"], UNSYNCED_AIM
        ),
        f"| scp | {scp:.0f} | 1 | | |",
        f"| scp, connecting left out | {bare_scp:.0f} | {bare_scp / scp:.2f} | | |",
        "",
        f"A second push of the same file sends {second_push_bytes} bytes "
        f"(aim: under {SECOND_PUSH_AIM_BYTES}): {met}.",
    ]


def _row(name: str, ours: list[float], scp: list[float], aim: float) -> str:
    ratio = median(b / a for a, b in zip(ours, scp, strict=True))
    met = "met" if ratio >= aim else "NOT met"
    return f"| {name} | {UPLOAD_BYTES / 1e6 / median(ours):.0f} | {ratio:.2f} | {aim} | {met} |"


def _by_agent(target: Target, file: Path) -> float:
    with open_device(target) as device:
        os.sync()
        started = time.perf_counter()
        device.push(file)
        return time.perf_counter() - started


def _by_unsynced_agent(target: Target, file: Path) -> float:
    with open_device(target) as device:  # the agent is there from now on
        archive = f"{target.root}/agent/{agent_archive().sha256}.pyz"
        python = device.facts.python_executable
    command = [python, "-I", "-c", _UNSYNCED, archive, "serve", target.root]
    with connect(target) as transport:
        client = AgentClient(transport.open("exec " + shlex.join(command)), target.name)
        try:
            client.call("hello", {})
            os.sync()
            started = time.perf_counter()
            with file.open("rb") as source:
                digest = hashlib.file_digest(source, "sha256").hexdigest()
                client.put(source, digest, file.stat().st_size)
            return time.perf_counter() - started
        finally:
            client.close()


def _second_push_bytes(target: Target, file: Path) -> int:
    with open_device(target) as device:
        return device.push(file).sent_bytes


def _by_scp(sshd: LoopbackSshd, file: Path, known_hosts: Path, to: Path) -> float:
    command = ["scp", "-q", "-P", str(sshd.port), "-i", str(sshd.identity)]
    command += ["-o", f"UserKnownHostsFile={known_hosts}", "-o", "BatchMode=yes"]
    os.sync()
    started = time.perf_counter()
    subprocess.run([*command, str(file), f"{sshd.user}@{sshd.host}:{to}"], check=True)
    seconds = time.perf_counter() - started
    to.unlink()
    return seconds
