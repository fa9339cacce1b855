"""What a board does with a model: benchmark, profile, infer, run samples; each is a job.

Every job is a process of its own on the board, in which the runtime loads the model anew.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from device_agent.contract.measurement import (
    LEAST_RUNS,
    KernelClass,
    kernel_class_from_json,
)
from device_agent.contract.op_times import OpTimes
from device_agent.contract.records import RecordError, read_value
from device_agent.contract.runtimes import TENSORRT, distribution_of
from device_agent.contract.state import RESET
from targets.agent_client import (
    ANSWER_TIMEOUT_S,
    MOST_FILE_BYTES,
    WIRE_CODE,
    AgentClient,
    AgentError,
    answers_of,
    progress_of,
)
from targets.board_disk import BoardDiskError
from targets.board_run import BoardRun
from targets.execution import Execution
from targets.job_answers import (
    MOST_CONDITIONS_BYTES,
    check_series,
    files_of_run,
    read_conditions_file,
    read_op_times,
    read_outputs,
    read_run,
    read_tensors,
    read_times,
)
from targets.progress import OnProgress, no_progress
from targets.sample_run import SampleRequest, SampleRun, run_arguments, sample_run
from targets.staged_file import StagedFile

if TYPE_CHECKING:
    import numpy as np

#: A job may need so long before its first sign of life: importing a runtime from a slow card.
JOB_START_TIMEOUT_S = 120.0

#: A model so slow that its least number of runs takes longer than asked still gets its time.
SLOW_RUNS = 20
SLOW_JOB_S = 120.0

#: The first job of a model on TensorRT builds its engine: the longest time of the agent for that.
ENGINE_TIMEOUT_S = 3600.0

#: All samples of a parity check, on a slow board.
INFER_TIMEOUT_S = 3600.0

#: Largest answer to one sample: all numbers of a regression, or the best classes, of each output.
MOST_ANSWER_BYTES = 1 << 20

#: Longest time that an agent waits for the job of another root on its board.
OTHERS_TIMEOUT_S = 600.0

#: Longest time that an agent accepts for a job.
LONGEST_JOB_S = 86400.0


@dataclass(frozen=True)
class ProcessSettings:
    """How one process of a benchmark runs."""

    threads: int
    warmup_s: float
    duration_s: float
    seed: int = 0
    period_ns: int = 0
    """Time between the starts of two requests; 0 is back to back."""
    soak: bool = False
    """One long run, its samples thinned and its memory read meanwhile."""
    cores: tuple[int, ...] | None = None
    """Cores that the process is kept to, empty for all; `None` for those of kedge.toml."""
    integers: tuple[int, int] | None = None
    """Lowest and highest random value of whole numbers without a scale; `None` where the board is
    to find out which values the model accepts."""

    @property
    def timeout_s(self) -> float:
        """Longest time until the process answers, however slow the model is."""
        longest = self.duration_s if self.soak else SLOW_RUNS * self.duration_s
        requests = LEAST_RUNS * self.period_ns / 1e9
        return JOB_START_TIMEOUT_S + SLOW_JOB_S + self.warmup_s + longest + requests


class Jobs:
    """The jobs of one board, on the runtime that it uses."""

    def __init__(self, client: AgentClient, execution: Execution) -> None:
        self._client = client
        self._execution = execution
        self._runtime = ""
        self._tree = ""
        self._on_wait: OnProgress = no_progress

    def show_waits(self, on_progress: OnProgress) -> None:
        """Report from now on whom a job waits for, as only one at a time measures on a board."""
        self._on_wait = on_progress

    def use(self, runtime: str, tree: str) -> None:
        """Let all jobs use a runtime from now on.

        Args:
            runtime: Name of its distribution; see `RuntimeChoice.distribution`.
            tree: Digest of the folder that was brought there; empty for the board's own runtime.
        """
        self._runtime, self._tree = runtime, tree

    def load_runtime(self, with_delegate: bool) -> KernelClass:
        """Load the runtime once, and the delegate that kedge.toml names.

        Args:
            with_delegate: Whether the models to come use the delegate; without, it is not loaded.

        Returns:
            Kernels that will compute there.

        Raises:
            AgentError: The runtime is there, but does not load, or the delegate does not.
        """
        args = {} if with_delegate else {"delegate": ""}
        answer = self._job("describe", args, JOB_START_TIMEOUT_S)
        with answers_of(self._client.name):
            return kernel_class_from_json(answer.get("kernel_class"))

    def benchmark(
        self, model: StagedFile, settings: ProcessSettings, on_progress: OnProgress = no_progress
    ) -> BoardRun:
        """Load and time a model in one fresh process on the board.

        Raises:
            AgentError: The model does not load or run there, or the process died.
        """
        answer = self._job(
            "benchmark",
            _process_arguments(model, settings),
            settings.timeout_s,
            lambda event: on_progress(*progress_of(event)),
            stoppable=settings.soak,
        )
        return self._fetch_runs([answer.get("run")], answer.get("conditions"))[0]

    def benchmark_streams(
        self, model: StagedFile, settings: ProcessSettings, streams: int
    ) -> tuple[BoardRun, ...]:
        """Load and time a model in several fresh processes on the board at the same time.

        Args:
            model: The model, staged.
            settings: Settings of each process.
            streams: Number of processes.

        Returns:
            Run of each process; all have the conditions of the board over all of them.

        Raises:
            AgentError: The model does not load or run there, or a process died.
        """
        arguments = {**_process_arguments(model, settings), "streams": streams}
        answer = self._job("streams", arguments, settings.timeout_s)
        with answers_of(self._client.name):
            answers = read_value(list[Any], answer.get("runs"), "runs")
            if len(answers) != streams:
                raise RecordError(f"runs: expected {streams}, found {len(answers)}")
        return self._fetch_runs(answers, answer.get("conditions"))

    def _fetch_runs(self, answers: list[Any], conditions: Any) -> tuple[BoardRun, ...]:
        """Take the files of processes from the board; nothing of them stays there."""
        with answers_of(self._client.name):
            runs = list(map(read_run, answers))
            digest = str(read_value(str, conditions, "conditions"))
            files = [file for run in runs for file in files_of_run(run)]
            data, *contents = self._fetch([(digest, MOST_CONDITIONS_BYTES), *files])
            entries = read_conditions_file(data)
            board_runs = []
            for run in runs:
                steady, end_to_end, *series = contents[: 2 + len(run.series)]
                contents = contents[2 + len(run.series) :]
                times = dict(zip(run.series, map(read_times, series), strict=True))
                check_series(run, times)
                board_runs.append(
                    BoardRun(
                        run,
                        read_times(steady, run.sample_count),
                        entries,
                        read_times(end_to_end, run.end_to_end_count),
                        times,
                    )
                )
        return tuple(board_runs)

    def profile(self, model: StagedFile, duration_s: float) -> OpTimes:
        """Ask the runtime how long each operator takes, on one thread; it may not tell.

        Raises:
            AgentError: The model does not load or run there, or the process died.
        """
        args = {"model": model.sha256, "duration_s": duration_s}
        timeout_s = JOB_START_TIMEOUT_S + SLOW_JOB_S + duration_s
        answer = self._job("profile", args, timeout_s)
        with answers_of(self._client.name):
            return read_op_times(answer)

    def infer(
        self,
        model: StagedFile,
        inputs: Mapping[str, np.ndarray[Any, Any]],
        on_progress: OnProgress = no_progress,
        most_s: float = 0,
        reset: str = RESET,
        most_bytes: int = MOST_FILE_BYTES,
    ) -> tuple[KernelClass, dict[str, np.ndarray[Any, Any]]]:
        """Run a model over samples on the board.

        Args:
            model: The model, staged.
            inputs: Samples by input name, `(samples, ...)`, exactly of the input's type.
            on_progress: Called while the board works.
            most_s: Seconds after which the board begins no further sample, so that fewer may be
                answered; 0 to answer all.
            reset: Way to handle the state before each sample, of
                `device_agent.contract.state.WAYS`.
            most_bytes: Largest size of all outputs together.

        Returns:
            Kernels that computed there, and the outputs by name, `(samples, ...)`.

        Raises:
            AgentError: The model does not load or run there, or the inputs do not fit it.
        """
        with self._lender() as lend:
            args = {
                "model": model.sha256,
                "threads": 1,
                "inputs": [lend(name, values) for name, values in inputs.items()],
                "reset": reset,
                **({"most_s": most_s} if most_s else {}),
            }
            answer = self._job(
                "infer",
                args,
                JOB_START_TIMEOUT_S + SLOW_JOB_S + most_s if most_s else INFER_TIMEOUT_S,
                lambda event: on_progress("infer on the board", *progress_of(event)[1:]),
            )
            with answers_of(self._client.name):
                outputs = self._fetch_outputs(answer, len(next(iter(inputs.values()))), most_bytes)
                return kernel_class_from_json(answer.get("kernel_class")), outputs

    def run_samples(
        self, model: StagedFile, request: SampleRequest, on_progress: OnProgress = no_progress
    ) -> SampleRun:
        """Run real samples as an application does: preprocess, quantize, invoke, answer.

        Args:
            model: The model, staged.
            request: Samples, arrays of the shapes and types of `SampleRequest.samples`.
            on_progress: Called while the board works.

        Raises:
            AgentError: The model does not load or run there, or a sample does not fit it.
        """
        threads = request.threads or self._execution.threads or 1
        with self._lender() as lend:
            tensors = [[lend(n, v) for n, v in sample.items()] for sample in request.samples]
            args = {"model": model.sha256, "threads": threads, **run_arguments(request, tensors)}
            answer = self._job(
                "run",
                args,
                INFER_TIMEOUT_S,
                lambda event: on_progress("run on the board", *progress_of(event)[1:]),
            )
            count = len(request.samples)
            with answers_of(self._client.name):
                sha256 = str(read_value(str, answer.get("answers"), "answers"))
                (answers,) = self._fetch([(sha256, count * MOST_ANSWER_BYTES)])
                outputs = self._fetch_outputs(answer, count, MOST_FILE_BYTES)
                return sample_run(answer, answers, outputs, count)

    @contextmanager
    def _lender(self) -> Iterator[Callable[[str, np.ndarray[Any, Any]], dict[str, str]]]:
        """Yield a function that sends a tensor; then drop what it sent."""
        digests: list[str] = []

        def lend(name: str, values: np.ndarray[Any, Any]) -> dict[str, str]:
            data = values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
            sha256 = hashlib.sha256(data).hexdigest()
            self._client.put(io.BytesIO(data), sha256, len(data))
            digests.append(sha256)
            return {"name": name, "dtype": values.dtype.name, "sha256": sha256}

        try:
            yield lend
        except (AgentError, BoardDiskError) as error:  # after others there is no agent to ask
            if not isinstance(error, AgentError) or error.code != WIRE_CODE:
                self._drop(digests)
            raise
        self._drop(digests)

    def _fetch_outputs(
        self, answer: Mapping[str, Any], most_samples: int, most_bytes: int
    ) -> dict[str, np.ndarray[Any, Any]]:
        files = read_outputs(answer, most_samples, most_bytes)
        return read_tensors(files, self._fetch([(file.sha256, file.size_bytes) for file in files]))

    def _fetch(self, files: list[tuple[str, int]]) -> list[bytes]:
        """Take results, given by digest and largest size, from the board; nothing stays there."""
        contents = [self._client.get(sha256, most_bytes) for sha256, most_bytes in files]
        self._drop([sha256 for sha256, _ in files])
        return contents

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
        assert self._runtime, "prepare_runtime comes before the first job"
        execution = self._execution
        runtime = {
            "runtime": self._runtime,
            "tree": self._tree,
            "delegate": execution.delegate,
            "allow_cpu": execution.allow_cpu,
            "cores": list(execution.cores),
        }
        if distribution_of(self._runtime) == TENSORRT:
            timeout_s += ENGINE_TIMEOUT_S
        timeout_s = min(timeout_s, LONGEST_JOB_S)
        args = {**runtime, **args, "timeout_s": timeout_s}
        call = self._client.call_stoppable if stoppable else self._client.call

        def show(event: Mapping[str, Any]) -> None:
            phase = progress_of(event)[0]
            if phase.startswith("wait for "):
                self._on_wait(phase, 0, 0)
            elif on_event is not None:
                on_event(event)

        return call(op, args, timeout_s + OTHERS_TIMEOUT_S + ANSWER_TIMEOUT_S, show)


def _process_arguments(model: StagedFile, settings: ProcessSettings) -> dict[str, Any]:
    """Return the fields of a request that measures in fresh processes."""
    return {
        "model": model.sha256,
        "threads": settings.threads,
        "warmup_s": settings.warmup_s,
        "duration_s": settings.duration_s,
        "seed": settings.seed,
        "period_ns": settings.period_ns,
        "soak": settings.soak,
        **({"integers": list(settings.integers)} if settings.integers else {}),
        **({} if settings.cores is None else {"cores": list(settings.cores)}),
    }
