"""How other tools copy a file to many hosts: each run as its own documentation says."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Hosts:
    """Hosts of a benchmark behind one sshd on loopback."""

    addresses: Sequence[str]
    """Address of each host; several hosts may share one."""
    port: int
    user: str
    identity: Path
    known_hosts: Path
    folders: Sequence[Path]
    """Folder of each host, into which the file goes."""
    at_once: int


@dataclass(frozen=True)
class Cost:
    """What a run took."""

    wall_s: float
    cpu_s: float
    """CPU time of the controller: the process and all its children, without the servers."""
    peak_bytes: int
    """Highest resident memory of one process of the controller."""


#: Makes files in `folder`; returns the command that copies `file` to all hosts.
Prepare = Callable[[Hosts, Path, Path, Path], Sequence[str]]


def ansible_copy(hosts: Hosts, file: Path, folder: Path, python: Path) -> Sequence[str]:
    """Ansible's copy module, with one fork for each host at a time and pipelining."""
    lines = ["[fleet]"]
    for number, (address, target) in enumerate(zip(hosts.addresses, hosts.folders, strict=True)):
        lines.append(f"h{number} ansible_host={address} folder={target}")
    lines += [
        "[fleet:vars]",
        f"ansible_port={hosts.port}",
        f"ansible_user={hosts.user}",
        f"ansible_ssh_private_key_file={hosts.identity}",
        f"ansible_ssh_common_args=-o UserKnownHostsFile={hosts.known_hosts} "
        "-o GlobalKnownHostsFile=/dev/null -o IdentitiesOnly=yes",
        "ansible_python_interpreter=/usr/bin/python3",
    ]
    (folder / "inventory.ini").write_text("\n".join(lines) + "\n")
    (folder / "ansible.cfg").write_text(
        f"[defaults]\nforks={hosts.at_once}\ngathering=explicit\n[ssh_connection]\npipelining=True\n"
    )
    arguments = f"src={file} dest={{{{ folder }}}}/model.tflite mode=0600"
    program = python.parent / "ansible"
    return [str(program), "-i", "inventory.ini", "fleet", "-m", "copy", "-a", arguments, "-o"]


def pyinfra_put(hosts: Hosts, file: Path, folder: Path, python: Path) -> Sequence[str]:
    """The operation files.put of pyinfra."""
    inventory = [
        (
            f"h{number}",
            {
                "ssh_hostname": address,
                "ssh_port": hosts.port,
                "ssh_user": hosts.user,
                "ssh_key": str(hosts.identity),
                "ssh_known_hosts_file": str(hosts.known_hosts),
                "folder": str(target),
            },
        )
        for number, (address, target) in enumerate(zip(hosts.addresses, hosts.folders, strict=True))
    ]
    (folder / "inventory.py").write_text(f"fleet = {inventory!r}\n")
    (folder / "deploy.py").write_text(
        "from pyinfra import host\nfrom pyinfra.operations import files\n"
        f"files.put(src={str(file)!r}, dest=host.data.folder + '/model.tflite', mode='600')\n"
    )
    program = python.parent / "pyinfra"
    return [str(program), "-y", "--parallel", str(hosts.at_once), "inventory.py", "deploy.py"]


def parallel_ssh_copy(hosts: Hosts, file: Path, folder: Path, python: Path) -> Sequence[str]:
    """parallel-ssh's copy_file of its native clients."""
    program = f"""
from gevent import joinall
from pssh.clients import ParallelSSHClient

client = ParallelSSHClient(
    {list(hosts.addresses)!r}, user={hosts.user!r}, port={hosts.port}, pkey={str(hosts.identity)!r},
    pool_size={hosts.at_once}, allow_agent=False,
)
targets = {[f"{target}/model.tflite" for target in hosts.folders]!r}
arguments = [{{"local": {str(file)!r}, "remote": target}} for target in targets]
joinall(client.copy_file("%(local)s", "%(remote)s", copy_args=arguments), raise_error=True)
"""
    (folder / "copy_file.py").write_text(program)
    return [str(python), "copy_file.py"]


def paramiko_pool(hosts: Hosts, file: Path, folder: Path, _: Path) -> Sequence[str]:
    """A thread pool of bare paramiko clients, each with one SFTP put."""
    program = f"""
from concurrent.futures import ThreadPoolExecutor
import paramiko

key = paramiko.Ed25519Key.from_private_key_file({str(hosts.identity)!r})
known = paramiko.HostKeys({str(hosts.known_hosts)!r})

def copy(place):
    address, target = place
    transport = paramiko.Transport((address, {hosts.port}))
    try:
        transport.connect(username={hosts.user!r}, pkey=key)
        assert known.check(f"[{{address}}]:{hosts.port}", transport.get_remote_server_key())
        sftp = paramiko.SFTPClient.from_transport(transport)
        sftp.put({str(file)!r}, target + "/model.tflite")
    finally:
        transport.close()

places = list(zip({list(hosts.addresses)!r}, {[str(target) for target in hosts.folders]!r}))
with ThreadPoolExecutor({hosts.at_once}) as pool:
    list(pool.map(copy, places))
"""
    (folder / "pool.py").write_text(program)
    return [sys.executable, "pool.py"]


PROGRAMS: Mapping[str, Prepare] = {
    "Ansible copy": ansible_copy,
    "pyinfra files.put": pyinfra_put,
    "parallel-ssh copy_file": parallel_ssh_copy,
    "bare paramiko pool": paramiko_pool,
}


def run_measured(command: Sequence[str], folder: Path) -> Cost:
    """Run a program to its end, and measure it with all its children.

    Raises:
        RuntimeError: It failed; the message has the end of what it said.
    """
    environment = {**os.environ, "ANSIBLE_CONFIG": str(folder / "ansible.cfg"), "HOME": str(folder)}
    with (folder / "output.txt").open("w+b") as output:
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            output.seek(0)
            raise RuntimeError(f"{command} failed: {output.read()[-2000:].decode()}")
    return Cost(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)
