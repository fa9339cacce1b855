"""A target with an open connection: one physical unit, its agent started and its facts known.

with open_device(target) as device:
    device.prepare_runtime("tflite", wheelhouse=None, on_progress=show)
    staged = device.push(Path("model.tflite"))
    device.benchmark(staged, settings, on_progress=show)
"""

from __future__ import annotations

import getpass
import hashlib
import io
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from device_agent.contract.conditions import Conditions, conditions_from_json
from device_agent.contract.facts import facts_from_json
from device_agent.contract.measurement import (
    LEAST_RUNS,
    KernelClass,
    ProcessRun,
    process_run_from_json,
)
from device_agent.contract.op_times import OpTimes, op_times_from_json
from device_agent.contract.packed import unpack_times
from targets.agent_client import ANSWER_TIMEOUT_S, AgentClient, AgentError, BoardDiskError
from targets.errors import TargetError
from targets.inventory import Target
from targets.probe import Probe
from targets.runtimes.choice import choose_runtime
from targets.runtimes.release import RuntimeChoice
from targets.runtimes.wheels import find_wheels
from targets.sample_run import SampleRequest, SampleRun, run_arguments, sample_run, tensors_of

if TYPE_CHECKING:
    import numpy as np

#: Another host's benchmark is waited for so long.
RESERVE_TIMEOUT_S = 600.0

#: Unzipping and syncing 100 MB on a slow SD card.
UNPACK_TIMEOUT_S = 600.0

#: A job may need so long before its first sign of life: importing a runtime from a slow card.
JOB_START_TIMEOUT_S = 120.0

#: A model so slow that its least number of runs takes longer than asked still gets its time.
SLOW_RUNS = 20
SLOW_JOB_S = 120.0

#: All samples of a parity check, on a slow board.
INFER_TIMEOUT_S = 3600.0

#: What an agent accepts.
LONGEST_JOB_S = 86400.0

OnProgress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done and how much there is; 0 of 0 is unknown."""


def no_progress(what: str, done: int, total: int) -> None:
    """Show nothing."""


@dataclass(frozen=True)
class Staged:
    """A file that lies in the scratch area of a board."""

    sha256: str
    size_bytes: int
    path: str
    """On the board."""
    sent_bytes: int
    """What had to be sent for it; close to nothing when the board had it."""


@dataclass(frozen=True)
class RunSettings:
    """How one process of a benchmark runs."""

    threads: int
    warmup_s: float
    duration_s: float
    seed: int = 0
    period_ns: int = 0
    """Between two requests; 0 is back to back."""
    soak: bool = False
    """One long run, its samples thinned and its memory read meanwhile."""
    cores: tuple[int, ...] | None = None
    """The cores that the process is kept to, empty for all; `None`: as kedge.toml says."""

    @property
    def timeout_s(self) -> float:
        """The process has answered within so long, however slow the model is."""
        longest = self.duration_s if self.soak else SLOW_RUNS * self.duration_s
        requests = LEAST_RUNS * self.period_ns / 1e9
        return JOB_START_TIMEOUT_S + SLOW_JOB_S + self.warmup_s + longest + requests


@dataclass(frozen=True)
class BoardRun:
    """What one process saw, and what the board was doing before, during and after."""

    run: ProcessRun
    samples_ns: tuple[int, ...]
    """`invoke` alone."""
    conditions: tuple[Conditions, ...]
    end_to_end_ns: tuple[int, ...] = ()
    """The whole of an inference: quantize, set, invoke, get, dequantize."""
    series: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """What else the run recorded, by name; see `ProcessRun.series`."""


class Device:
    """One board, reached and understood."""

    def __init__(self, target: Target, seen: Probe, client: AgentClient) -> None:
        self.target = target
        self.probe = seen
        self._client = client
        self.facts = facts_from_json(client.call("hello", {}))
        """Facts about the board, as its agent reports them."""
        self._trees: dict[RuntimeChoice, str] = {}
        """Digest of the folder that was brought there for a runtime; none for the board's own."""
        self._choices: dict[str, RuntimeChoice] = {}
        """Runtime by the format that it runs."""
        self._runtime: RuntimeChoice | None = None
        """Runtime of the jobs."""

    def runtime_for(self, model_format: str) -> RuntimeChoice:
        """Return the runtime that this board will use for a format of model files.

        It is the one that kedge.toml names, else the best that loads.

        Raises:
            NoRuntimeError: None loads there, or not the one that kedge.toml names.
        """
        if model_format not in self._choices:
            wanted = self.target.execution.runtime
            self._choices[model_format] = choose_runtime(self.facts, model_format, wanted)
        return self._choices[model_format]

    def use(self, choice: RuntimeChoice) -> None:
        """Let this board use another runtime from now on; `prepare_runtime` brings it there."""
        self._choices[choice.format] = choice
        self._runtime = choice

    def prepare_runtime(
        self,
        model_format: str,
        wheelhouse: Path | None = None,
        on_progress: OnProgress = no_progress,
    ) -> KernelClass:
        """Reserve the board, bring the runtime there unless it has it, and load it once.

        The delegate that kedge.toml names is loaded too.

        Another host that uses the board now is waited for: two benchmarks would measure each other.
        All jobs from now on use this runtime.

        Args:
            model_format: Name of the format of the model files to run.
            wheelhouse: Folder of wheels; with one, nothing is downloaded.
            on_progress: Called as the work goes on.

        Returns:
            What will compute there.

        Raises:
            NoRuntimeError: No runtime for the format loads on this board.
            WheelError: A wheel cannot be had.
            BoardDiskError: No runtime can be loaded from the root folder, or it does not fit.
            AgentError: The runtime is there, but does not load, or the delegate does not.
        """
        self._reserve(on_progress)
        choice = self.runtime_for(model_format)
        self.use(choice)
        if choice.wheels:
            self._trees[choice] = self._bring_runtime(choice, wheelhouse, on_progress)
        on_progress("load the runtime", 0, 0)
        answer = self._job("describe", {}, JOB_START_TIMEOUT_S)
        return KernelClass(**answer["kernel_class"])

    def _bring_runtime(
        self, choice: RuntimeChoice, wheelhouse: Path | None, on_progress: OnProgress
    ) -> str:
        """Send the wheels of the runtime unless they are there; return the digest of its folder."""
        if "noexec" in self.probe.mount_options:
            raise BoardDiskError(
                f"{self.target.name}: {self.probe.root} is mounted noexec, so no runtime can be "
                "loaded from there",
                "Name a folder on another file system as `root` of this target in kedge.toml.",
            )
        paths = find_wheels(
            choice.wheels, wheelhouse, lambda name: on_progress(f"download {name}", 0, 0)
        )
        digests = []
        for path in paths:
            with path.open("rb") as file:
                digests.append(_digest_of(file))
        tree = hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()
        if not self._client.call("has_tree", {"tree": tree})["present"]:
            for path in paths:
                self.push(path, on_progress)
            on_progress("unpack the runtime", 0, 0)
            unpack = {"tree": tree, "wheels": digests, "keep": list(self._trees.values())}
            self._client.call("unpack", unpack, UNPACK_TIMEOUT_S)
        return tree

    def _reserve(self, on_progress: OnProgress) -> None:
        self._client.call(
            "reserve",
            {"who": f"{getpass.getuser()}@{socket.gethostname()}", "timeout_s": RESERVE_TIMEOUT_S},
            RESERVE_TIMEOUT_S + ANSWER_TIMEOUT_S,
            lambda event: on_progress(str(event.get("phase", "")), 0, 0),
        )

    def push(self, path: Path, on_progress: OnProgress = no_progress) -> Staged:
        """Send a file into the scratch area; what is there already is not sent again.

        Raises:
            TargetError: The file cannot be read, or does not fit on the board.
            IntegrityError: What arrived is not what was sent.
        """
        sent_before = self._client.sent_bytes
        try:
            with path.open("rb") as file:
                sha256 = _digest_of(file)
                size = file.tell()
                there = self._client.put(
                    file,
                    sha256,
                    size,
                    lambda done, total: on_progress(f"send {path.name}", done, total),
                )
        except OSError as error:
            raise TargetError(f"cannot read {path}: {error.strerror or error}") from error
        return Staged(sha256, size, there, self._client.sent_bytes - sent_before)

    def benchmark(
        self, model: Staged, settings: RunSettings, on_progress: OnProgress = no_progress
    ) -> BoardRun:
        """Load and time a model in one fresh process on the board.

        Raises:
            AgentError: The model does not load or run there, or the process died.
        """
        answer = self._job(
            "benchmark",
            {
                "model": model.sha256,
                "threads": settings.threads,
                "warmup_s": settings.warmup_s,
                "duration_s": settings.duration_s,
                "seed": settings.seed,
                "period_ns": settings.period_ns,
                "soak": settings.soak,
                **({} if settings.cores is None else {"cores": list(settings.cores)}),
            },
            settings.timeout_s,
            lambda event: on_progress(
                str(event.get("phase", "")), int(event.get("done", 0)), int(event.get("total", 0))
            ),
            stoppable=settings.soak,
        )
        run = process_run_from_json(answer["run"])
        files = [run.samples, run.end_to_end, str(answer["conditions"]), *run.series.values()]
        steady, end_to_end, conditions, *series = self._fetch(files)
        return BoardRun(
            run,
            unpack_times(steady),
            tuple(conditions_from_json(entry) for entry in json.loads(conditions)),
            unpack_times(end_to_end),
            dict(zip(run.series, map(unpack_times, series), strict=True)),
        )

    def profile(self, model: Staged, duration_s: float) -> OpTimes:
        """Ask the runtime how long each operator takes, on one thread; it may not tell.

        Raises:
            AgentError: The model does not load or run there, or the process died.
        """
        args = {"model": model.sha256, "duration_s": duration_s}
        timeout_s = JOB_START_TIMEOUT_S + SLOW_JOB_S + duration_s
        return op_times_from_json(self._job("profile", args, timeout_s))

    def infer(
        self,
        model: Staged,
        inputs: Mapping[str, np.ndarray[Any, Any]],
        threads: int = 1,
        on_progress: OnProgress = no_progress,
    ) -> tuple[KernelClass, dict[str, np.ndarray[Any, Any]]]:
        """Run a model over samples on the board.

        Args:
            model: The model, staged.
            inputs: Samples by input name, `(samples, ...)`, exactly of the input's type.
            threads: Threads of the runtime.
            on_progress: Called while the board works.

        Returns:
            What computed there, and the outputs by name, `(samples, ...)`.

        Raises:
            AgentError: The model does not load or run there, or the inputs do not fit it.
        """
        with self._lent() as lend:
            args = {
                "model": model.sha256,
                "threads": threads,
                "inputs": [lend(name, values) for name, values in inputs.items()],
            }
            answer = self._job(
                "infer",
                args,
                INFER_TIMEOUT_S,
                lambda event: on_progress(
                    "infer on the board", int(event.get("done", 0)), int(event.get("total", 0))
                ),
            )
            results = self._fetch([entry["sha256"] for entry in answer["outputs"]])
        return KernelClass(**answer["kernel_class"]), tensors_of(answer["outputs"], results)

    def run_samples(
        self, model: Staged, wanted: SampleRequest, on_progress: OnProgress = no_progress
    ) -> SampleRun:
        """Run real samples as an application does: preprocess, quantize, invoke, answer.

        Raises:
            AgentError: The model does not load or run there, or a sample does not fit it.
        """
        threads = wanted.threads or self.target.execution.threads or 1
        with self._lent() as lend:
            tensors = [[lend(n, v) for n, v in one.items()] for one in wanted.samples]
            args = {"model": model.sha256, "threads": threads, **run_arguments(wanted, tensors)}
            answer = self._job(
                "run",
                args,
                INFER_TIMEOUT_S,
                lambda event: on_progress(
                    "run on the board", int(event.get("done", 0)), int(event.get("total", 0))
                ),
            )
            (answers,) = self._fetch([answer["answers"]])
            kept = self._fetch([entry["sha256"] for entry in answer["outputs"]])
        return sample_run(answer, answers, kept)

    @contextmanager
    def _lent(self) -> Iterator[Callable[[str, np.ndarray[Any, Any]], dict[str, str]]]:
        """Give what sends a tensor; those that it sent are taken from the board afterwards."""
        sent: list[str] = []

        def lend(name: str, values: np.ndarray[Any, Any]) -> dict[str, str]:
            data = values.astype(values.dtype.newbyteorder("<")).tobytes()
            sha256 = hashlib.sha256(data).hexdigest()
            self._client.put(io.BytesIO(data), sha256, len(data))
            sent.append(sha256)
            return {"name": name, "dtype": values.dtype.name, "sha256": sha256}

        try:
            yield lend
        except (AgentError, BoardDiskError):  # after others there is no agent to ask
            self._drop(sent)
            raise
        self._drop(sent)

    def _fetch(self, digests: list[str]) -> list[bytes]:
        """Take results from the board; nothing of them stays there. Two of them may be equal."""
        data = [self._client.get(sha256) for sha256 in digests]
        self._drop(digests)
        return data

    def _drop(self, digests: list[str]) -> None:
        self._client.call("drop", {"sha256": digests})

    def _job(
        self,
        op: str,
        args: Mapping[str, Any],
        timeout_s: float,
        on_event: Callable[[Mapping[str, Any]], None] | None = None,
        stoppable: bool = False,
    ) -> dict[str, Any]:
        assert self._runtime is not None, "prepare_runtime comes before the first job"
        execution = self.target.execution
        runtime = {
            "runtime": self._runtime.distribution,
            "tree": self._trees.get(self._runtime, ""),
            "delegate": execution.delegate,
            "allow_cpu": execution.allow_cpu,
            "cores": list(execution.cores),
        }
        timeout_s = min(timeout_s, LONGEST_JOB_S)
        args = {**runtime, **args, "timeout_s": timeout_s}
        ask = self._client.call_stoppable if stoppable else self._client.call
        return ask(op, args, timeout_s + ANSWER_TIMEOUT_S, on_event)


def _digest_of(file: BinaryIO) -> str:
    """Read a file to its end; return its SHA-256."""
    digest = hashlib.sha256()
    for chunk in iter(lambda: file.read(1 << 20), b""):
        digest.update(chunk)
    return digest.hexdigest()
