"""Which worker of several this process is, by TensorFlow's own configuration of a cluster."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from converters.errors import ConversionError

#: Environment variable that TensorFlow reads too: https://www.tensorflow.org/guide/distributed_training#TF_CONFIG
TF_CONFIG = "TF_CONFIG"
_EXAMPLE = (
    'Set it to {"cluster": {"worker": ["host1:port", "host2:port"]}, '
    '"task": {"type": "worker", "index": 0}}, with the index of each worker, or to nothing.'
)

_POLL_SECONDS, _CONNECT_SECONDS = 0.2, 2.0


class WorkerDoneError(ConversionError):
    """Nothing went wrong: this worker has done its part, and another one writes the results."""

    exit_code = 0


@dataclass(frozen=True)
class Worker:
    """One of the processes that train a model together."""

    number: int
    """Number of this worker, from 0; worker 0 leads: it alone reports and writes."""
    addresses: tuple[str, ...]
    """Addresses `host:port` of all workers, by number."""

    @property
    def leads(self) -> bool:
        """Whether it is the one that reports and writes."""
        return self.number == 0

    def __str__(self) -> str:
        return f"worker {self.number} of {len(self.addresses)}"


def worker_of(environment: Mapping[str, str]) -> Worker | None:
    """Find the place of this process among the workers.

    Args:
        environment: Environment variables, such as `os.environ`.

    Returns:
        The worker; None where no cluster of several workers is configured.

    Raises:
        ConversionError: The configuration cannot be read, or has other tasks than workers.
    """
    text = environment.get(TF_CONFIG, "").strip()
    if not text:
        return None
    try:
        plain: Any = json.loads(text)
        cluster, task = plain.get("cluster", {}), plain.get("task", {})
        if not cluster:
            return None
        others = set(cluster) - {"chief", "worker"}
        if others or task["type"] not in cluster:
            raise ConversionError(
                f"{TF_CONFIG} has tasks of the type {', '.join(sorted(others)) or task['type']}, "
                "expected workers and at most one chief",
                _EXAMPLE,
            )
        addresses = tuple(cluster.get("chief", ())) + tuple(cluster.get("worker", ()))
        before = len(cluster.get("chief", ())) if task["type"] == "worker" else 0
        number = before + int(task["index"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConversionError(f"{TF_CONFIG} cannot be read: {error!r}", _EXAMPLE) from error
    if not 0 <= number < len(addresses):
        raise ConversionError(
            f"{TF_CONFIG} names {len(addresses)} workers and says that this is number {number}",
            _EXAMPLE,
        )
    return Worker(number, addresses) if len(addresses) > 1 else None


def wait_for_others(worker: Worker, seconds: float) -> None:
    """Wait until every other worker has come so far, or further.

    Each listens at its own address until it has reached all others; who finds one closed comes
    later, when TensorFlow listens there.

    Args:
        worker: This process.
        seconds: Longest time to wait.

    Raises:
        ConversionError: Its own port is taken, or another worker is not reached.
    """
    ours = worker.addresses[worker.number]
    missing = [address for address in worker.addresses if address != ours]
    port, until = _host_and_port(ours)[1], time.monotonic() + seconds
    try:
        listener = socket.create_server(("", port), backlog=len(missing) + 1)
    except OSError as error:
        raise ConversionError(
            f"{worker} cannot listen at {ours}: {error.strerror}", "Choose another port."
        ) from error
    with listener:
        while missing and time.monotonic() < until:
            missing = [address for address in missing if not _reached(address)]
            time.sleep(_POLL_SECONDS if missing else 0)
    if missing:
        raise ConversionError(
            f"{worker} cannot train with {', '.join(missing)}: no answer within {seconds:g} s",
            "Start the same conversion on every worker, and check that they reach each other's "
            "ports.",
        )


def _reached(address: str) -> bool:
    try:
        connected = socket.create_connection(_host_and_port(address), _CONNECT_SECONDS)
    except OSError:
        return False
    with connected:
        # A free port of this machine can be given to the very socket that looks for it.
        return bool(connected.getsockname() != connected.getpeername())


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ConversionError(f"{TF_CONFIG} has the address {address!r}", _EXAMPLE)
    return host.strip("[]"), int(port)


def check_together(
    worker: Worker | None, tries: bool = False, asks_latency: bool = False, recipes: int = 1
) -> None:
    """Refuse what several machines could decide differently.

    Args:
        worker: This process, where several train together; else None.
        tries: Whether steps may be made milder until a budget is kept.
        asks_latency: Whether a step goes by latency, which each machine would measure for itself.
        recipes: Number of recipes.

    Raises:
        ConversionError: It has to be done on one machine.
    """
    if worker is None:
        return
    requests = {
        "several recipes": recipes > 1,
        "--max-drop": tries,
        "a step that goes by latency": asks_latency,
    }
    for what, is_requested in requests.items():
        if is_requested:
            raise ConversionError(
                f"{what} cannot be done by several machines together ({TF_CONFIG} is set)",
                "Convert by one recipe at a time, without it; or unset the variable.",
            )
