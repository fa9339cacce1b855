"""How fast a fleet is reached: status, a copied file, rollout, rollback; beside other tools.

    python -m benchmarks.fleet --peers PYTHON [--targets 200] [--quick]

Writes benchmarks/results/fleet.md. All hosts are behind one unprivileged sshd on loopback with 16
addresses, so servers and controller share the cores. PYTHON is that of an environment with
ansible-core, pyinfra and parallel-ssh.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.fleet_peers import PROGRAMS, Cost, Hosts, run_measured
from benchmarks.machine import machine
from targets.agent_archive import agent_archive
from targets.inventory import Inventory
from targets.known_boards import KnownBoard, KnownBoards, place_text
from targets.provision import open_device
from tests.tiny_model import relu_model
from toolkit.bundle.bundle_file import read_bundle
from toolkit.bundle.order_file import new_order, sign_order
from toolkit.demo.sshd import LoopbackSshd, start_sshd

RESULT = Path(__file__).parent / "results" / "fleet.md"
ADDRESSES = [f"127.0.0.{number}" for number in range(1, 17)]
AT_ONCE = 20
PAYLOAD_BYTES = 300_000
BOARD_PYTHON = "/usr/bin/python3"

#: Least devices a second, as a multiple of each peer's copy.
AIMS = {"Ansible copy": 10.0, "pyinfra files.put": 1.5, "parallel-ssh copy_file": 1.0}
ROLLBACK_AIM_S, REVERT_AIM_S = 60.0, 1.0

_POLICY = """
[gates]
parity = false
latency_ratio = false
temperature = false
[concurrency]
total = 20
per_site = 20
[[wave]]
fraction = 1.0
"""


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    name: str
    targets: int
    cost: Cost

    @property
    def a_second(self) -> float:
        """Devices a second."""
        return self.targets / self.cost.wall_s

    def cells(self) -> str:
        """Cells of the table."""
        return (
            f"{self.targets} | {self.cost.wall_s:.1f} | {self.a_second:.1f} | "
            f"{1000 * self.cost.cpu_s / self.targets:.1f} | {self.cost.peak_bytes / 2**20:.0f}"
        )


class BenchmarkFleet:
    """A project whose boards are folders behind one sshd."""

    def __init__(self, folder: Path, server: LoopbackSshd, count: int) -> None:
        self.folder = folder
        self.server = server
        self.names = [f"board{number:04}" for number in range(count)]
        folder.mkdir()
        lines = []
        for number, name in enumerate(self.names):
            address = f"{server.user}@{ADDRESSES[number % len(ADDRESSES)]}:{server.port}"
            lines.append(
                f"[targets.{name}]\naddress = '{address}'\n"
                f"host_key = '{server.host_key_fingerprint}'\n"
                f"host_key_type = '{server.host_key_type}'\nidentity = '{server.identity}'\n"
                f"root = '{folder}/boards/{name}'\npython = '{BOARD_PYTHON}'\n"
                "labels = { fleet = 'all' }\n"
            )
        (folder / "kedge.toml").write_text("\n".join(lines))
        (folder / "policy.toml").write_text(_POLICY)

    def run(self, *arguments: str) -> Cost:
        """Run a command of kedge; measure it as a whole."""
        return run_measured([sys.executable, "-m", "toolkit.cli", *arguments], self.folder)

    def enroll(self) -> None:
        """Let the first board trust a key, and build two releases."""
        key = self.folder / "key"
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
        run_measured(command, self.folder)
        public = key.with_name("key.pub").read_text()
        (self.folder / "signers").write_text(f"release@example.org {public}")
        self.run("target", "trust", self.names[0], "--signers", "signers")
        for number in (1, 2):
            model = self.folder / f"model{number}.tflite"
            model.write_bytes(relu_model(number))
            self.run(
                *("bundle", "build", model.name, "--name", "detector", "--sign", "key"),
                *("--out", f"{number}.bundle", "--counter", str(number)),
            )

    def roll_out(self, bundle: str, targets: str) -> Cost:
        """Roll a release out without measurements on the boards."""
        usual = ("--sign", "key", "--accept-no-reboot-revert", "--policy", "policy.toml")
        return self.run("fleet", "rollout", bundle, "--to", targets, *usual)

    def copy_first_board(self) -> None:
        """Make all boards what the first one is, and known to the controller."""
        boards = self.folder / "boards"
        first = boards / self.names[0]
        known = KnownBoards(self.folder / ".kedge/boards.json")
        tag = next((first / "agent").glob("*.pyc")).name.split(".")[1]
        for name, target in Inventory(self.folder / "kedge.toml").targets.items():
            if name != self.names[0]:
                shutil.copytree(first, boards / name, symlinks=True)
            known.keep(
                target,
                KnownBoard(
                    place=place_text(target),
                    root=str(boards / name),
                    python=BOARD_PYTHON,
                    agent_sha256=agent_archive().sha256,
                    code_tag=tag,
                ),
            )
        known.save()


def main() -> None:
    """Measure, print and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--peers", type=Path, required=True, help="Python with the other tools")
    parser.add_argument("--targets", type=int, default=200)
    parser.add_argument("--quick", action="store_true", help="one round, fewer sizes")
    options = parser.parse_args()
    addresses = [f"ListenAddress {address}" for address in ADDRESSES[1:]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with start_sshd(folder / "sshd", extra_config=addresses) as server:
            sizes = [50, options.targets, *([] if options.quick else [1000])]
            scale = _measure_scale(folder, server, sizes)
            copies = _measure_copies(folder, server, options, 1 if options.quick else 3)
            acts = _measure_acts(folder, server, options.targets)
            revert_s = _local_revert_s(folder)
    lines = _text(scale, copies, acts, revert_s)
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(RESULT.read_text(encoding="utf-8"))


def _fleet(folder: Path, server: LoopbackSshd, count: int, name: str) -> BenchmarkFleet:
    fleet = BenchmarkFleet(folder / name, server, count)
    fleet.enroll()
    fleet.roll_out("1.bundle", fleet.names[0])
    fleet.copy_first_board()
    return fleet


def _measure_scale(folder: Path, server: LoopbackSshd, sizes: Sequence[int]) -> list[Row]:
    rows = []
    for count in sizes:
        fleet = _fleet(folder, server, count, f"scale{count}")
        _warm_up(fleet)
        rows.append(Row("kedge fleet status", count, fleet.run("fleet", "status", "--json")))
        model = fleet.folder / "payload.tflite"
        model.write_bytes(_payload())
        push = fleet.run("push", model.name, "--to", "fleet=all", "--json")
        rows.append(Row("kedge push", count, push))
        print(rows[-2], rows[-1], sep="\n", flush=True)
    return rows


def _measure_copies(
    folder: Path, server: LoopbackSshd, options: argparse.Namespace, rounds: int
) -> list[Row]:
    """Copy a file with each tool in turn, each round with other bytes."""
    count = options.targets
    fleet = _fleet(folder, server, count, "copies")
    _warm_up(fleet)
    known_hosts = folder / "known_hosts"
    known_hosts.write_text(
        "".join(f"[{address}]:{server.port} {server.host_key}\n" for address in ADDRESSES)
    )
    costs: dict[str, list[Cost]] = {"kedge push": [], "kedge fleet status": []}
    for number in range(rounds):
        for name, prepare in PROGRAMS.items():
            place = folder / f"peer-{name.replace(' ', '-')}-{number}"
            folders = [place / f"h{host}" for host in range(count)]
            for each in folders:
                each.mkdir(parents=True)
            hosts = Hosts(
                [ADDRESSES[host % len(ADDRESSES)] for host in range(count)],
                server.port,
                server.user,
                server.identity,
                known_hosts,
                folders,
                AT_ONCE,
            )
            file = place / "payload.tflite"
            file.write_bytes(_payload())
            command = prepare(hosts, file, place, options.peers)
            costs.setdefault(name, []).append(run_measured(command, place))
            assert all(
                (each / "model.tflite").stat().st_size == len(_payload()) for each in folders
            )
            print(name, costs[name][-1], flush=True)
        file = fleet.folder / f"payload{number}.tflite"
        file.write_bytes(_payload())
        push = fleet.run("push", file.name, "--to", "fleet=all", "--json")
        costs["kedge push"].append(push)
        costs["kedge fleet status"].append(fleet.run("fleet", "status", "--json"))
        print("kedge", push, costs["kedge fleet status"][-1], flush=True)
    return [Row(name, count, _median_cost(all_costs)) for name, all_costs in costs.items()]


def _measure_acts(folder: Path, server: LoopbackSshd, count: int) -> list[Row]:
    fleet = _fleet(folder, server, count, "acts")
    rows = [Row("kedge fleet rollout", count, fleet.roll_out("2.bundle", "fleet=all"))]
    usual = ("--sign", "key", "--accept-no-reboot-revert", "--to", "fleet=all")
    back = fleet.run("fleet", "rollback", "--bundle", "1.bundle", *usual)
    rows.append(Row("kedge fleet rollback", count, back))
    print(*rows, sep="\n", flush=True)
    return rows


def _local_revert_s(folder: Path) -> float:
    """Time the revert of a trial on one board; nothing is sent, and the agent runs already."""
    fleet = folder / "acts"
    target = Inventory(fleet / "kedge.toml").targets["board0000"]
    bundle, seconds = read_bundle(fleet / "2.bundle"), []
    with open_device(target) as device:
        for _ in range(5):
            state = device.releases.state()
            counter = state.apps["detector"].order_counter + 1
            order = new_order("detector", state.fleet, bundle.digest, counter, "benchmark", 600)
            signed = sign_order(order, (fleet / "key",))
            epoch = state.epoch + 1
            device.releases.activate(signed.text, signed.signatures, epoch, 600, False)
            began = time.monotonic()
            device.releases.revert("detector", bundle.digest, "benchmark", epoch)
            seconds.append(time.monotonic() - began)
    return median(seconds)


def _warm_up(fleet: BenchmarkFleet) -> None:
    """Push another file once, so that the controller knows the runtime of each board."""
    (fleet.folder / "first.tflite").write_bytes(relu_model())
    fleet.run("push", "first.tflite", "--to", "fleet=all")


def _payload() -> bytes:
    """A model of 300 KB whose bytes differ each time."""
    model = relu_model()
    return model + os.urandom(PAYLOAD_BYTES - len(model))


def _median_cost(costs: Sequence[Cost]) -> Cost:
    by_wall: Callable[[Cost], float] = lambda cost: cost.wall_s  # noqa: E731
    return sorted(costs, key=by_wall)[len(costs) // 2]


def _text(
    scale: Sequence[Row], copies: Sequence[Row], acts: Sequence[Row], revert_s: float
) -> list[str]:
    head = "| | targets | wall s | devices a second | controller CPU, ms a device | peak MiB |"
    lines = [
        "# Fleets",
        "",
        machine(),
        f"Load average {os.getloadavg()[1]:.1f}. {AT_ONCE} devices at a time, all behind one sshd "
        "on loopback with 16 addresses: servers, agents and controller share the cores. Each row "
        "is a whole command, on boards that the controller has met before. kedge verifies digests "
        "and fsyncs; the others do not.",
        "",
        f"A file of {PAYLOAD_BYTES // 1000} KB to each host, and the status of each host "
        "(medians of the rounds, the tools in turns):",
        "",
        head,
        "|---|---|---|---|---|---|",
        *(f"| {row.name} | {row.cells()} |" for row in copies),
        "",
        "| aim | found | |",
        "|---|---|---|",
    ]
    by_name = {row.name: row for row in copies}
    for own in ("kedge push", "kedge fleet status"):
        for peer, aim in AIMS.items():
            ratio = by_name[own].a_second / by_name[peer].a_second
            met = "met" if ratio >= aim else "NOT met"
            lines.append(f"| {own}: at least {aim:g} times {peer} | {ratio:.2f} times | {met} |")
    lines += ["", "Rollout without measurements on the boards, and the way back:", "", head]
    lines += ["|---|---|---|---|---|---|", *(f"| {row.name} | {row.cells()} |" for row in acts)]
    rollback = next(row for row in acts if row.name == "kedge fleet rollback")
    met = "met" if rollback.cost.wall_s <= ROLLBACK_AIM_S else "NOT met"
    lines += [
        "",
        f"Rollback in at most {ROLLBACK_AIM_S:g} s: {rollback.cost.wall_s:.1f} s, {met}. A board "
        f"goes back from a trial in {revert_s:.2f} s (at most {REVERT_AIM_S:g} s: "
        f"{'met' if revert_s <= REVERT_AIM_S else 'NOT met'}).",
        "",
        "Growth with the fleet:",
        "",
        head,
        "|---|---|---|---|---|---|",
        *(f"| {row.name} | {row.cells()} |" for row in scale),
    ]
    return lines


if __name__ == "__main__":
    main()
