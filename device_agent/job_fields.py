"""The fields of a job: what the agent hands to the inference process."""

from __future__ import annotations

from typing import Any, Dict, NamedTuple, Sequence

from device_agent.contract.state import RESET

#: Phase in which a job imports the runtime, before there is a model or a delegate.
IMPORT_PHASE = "import the runtime"


class Job(NamedTuple):
    """One job of an inference process; a kind of job reads the fields that concern it."""

    kind: str
    """Kind of job, which `device_agent.job` knows: `describe`, `profile`, `benchmark`, `streams`,
    `infer` or `run`."""
    runtime: str
    """Name of the runtime, as `device_agent.contract.runtimes` lists it."""
    tree: str = ""
    """Folder of the runtime's wheels; empty for a runtime that the board's own Python has."""
    delegate: str = ""
    """Key of `device_agent.runtimes.delegate.LIBRARIES`, path of a library, or name of an execution
    provider of ONNX Runtime; empty for none."""
    allow_cpu: bool = False
    """Whether a model that was not compiled for the Edge TPU may run without the delegate."""
    cores: Sequence[int] = ()
    """Numbers of the cores that the process keeps to; empty for all."""
    model: str = ""
    """Path of the model; empty for `describe`."""
    threads: int = 1
    """Number of threads of the runtime."""
    warmup_s: float = 0.0
    """Shortest duration of the untimed phase of a `benchmark`."""
    duration_s: float = 0.0
    """Duration of the timed phase of a `benchmark`, or of a `profile`."""
    seed: int = 0
    """Seed of the random inputs of a `benchmark`."""
    period_ns: int = 0
    """Time between two requests of a `benchmark`; 0 for runs back to back."""
    streams: int = 1
    """Number of processes of a `streams`, each of which runs the benchmark."""
    soak: bool = False
    """Whether a `benchmark` is one long run, which a file named `STOP` in its folder ends early."""
    folder: str = ""
    """Folder into which a `benchmark` writes its samples and series, and other jobs their files;
    empty for `describe`."""
    engines: str = ""
    """Folder of the engines that TensorRT built on this board; empty for other runtimes."""
    inputs: Sequence[Dict[str, Any]] = ()
    """Inputs of `infer`: `name`, `dtype` and `path` of the file of each."""
    integers: Sequence[int] = ()
    """Lowest and highest random value of whole numbers without a scale in a `benchmark`; empty
    where the host does not know which values the model accepts."""
    most_s: float = 0.0
    """Seconds after which `infer` begins no further sample; 0 for all samples."""
    reset: str = RESET
    """Way to handle the state before each sample of `infer` and `run`, of
    `device_agent.contract.state.WAYS`."""
    card: Dict[str, Any] = {}  # noqa: RUF012 - nobody changes it
    """Plain form of the model card of `run`."""
    samples: Sequence[Dict[str, Any]] = ()
    """Samples of `run`: for each its `inputs`, with `name`, `dtype`, `path` and `shape`."""
    answers: str = ""
    """Path to which `run` writes its answers."""
    outputs: str = ""
    """Begin of the paths to which `infer` and `run` write outputs; empty to write none."""

    @property
    def samples_path(self) -> str:
        """Path of the steady samples of a `benchmark`."""
        return self.folder + "/samples"

    @property
    def end_to_end_path(self) -> str:
        """Path of the end-to-end samples of a `benchmark`."""
        return self.folder + "/whole"


def job_to_json(job: Job) -> Dict[str, Any]:
    """Turn a job into what `json.dumps` takes."""
    return dict(job._asdict())


def job_from_json(fields: Dict[str, Any]) -> Job:
    """Read a job; the agent and its inference process are of one archive."""
    return Job(**fields)
