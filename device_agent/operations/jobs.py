"""Operations that run a job in an inference process and keep the files that it wrote."""

from __future__ import annotations

import json
import os
from typing import Any, Callable, Dict, List, Tuple

from device_agent.board.cgroup import read_limits
from device_agent.board.memory_death import with_memory_figures
from device_agent.contract.codes import BAD_REQUEST, CHILD_DIED, RefusalError
from device_agent.contract.conditions import Conditions
from device_agent.contract.runtimes import TENSORRT, distribution_of
from device_agent.contract.state import RESET, WAYS
from device_agent.job_fields import Job
from device_agent.operations.arguments import Arguments
from device_agent.operations.call import AgentCall, Answer
from device_agent.operations.limits import require_own_delegate
from device_agent.timing.stop_file import STOP
from device_agent.timing.thinned import ThinnedList

#: More threads than any board has cores; a runtime takes every number without a check.
MOST_THREADS = 1024

#: More processes at the same time than any board has memory for.
MOST_STREAMS = 64

#: Number of conditions that one run keeps: one for each second at first, then one for each two.
MOST_CONDITIONS = 1024

#: Defaults of a benchmark: runs back to back.
_BACK_TO_BACK: Dict[str, Any] = {"period_ns": 0, "soak": False, "integers": []}

#: Defaults of a runtime: its own kernels, on any core.
_PLAIN_RUNTIME: Dict[str, Any] = {"delegate": "", "allow_cpu": False, "cores": []}


def describe(call: AgentCall) -> Answer:
    """Report what a runtime is once it is loaded."""
    job = _runtime_job(call, "describe")
    result = _run(call, job)
    if job.tree:
        call.board.store.trees.keep_bytecode(job.tree)
    return Answer(result)


def profile(call: AgentCall) -> Answer:
    """Measure how long each operator takes."""
    model = call.board.store.file_path(call.args.text("model"))
    job = _runtime_job(call, "profile")._replace(
        model=model, duration_s=call.args.seconds("duration_s")
    )
    with call.board.store.workspace() as folder:
        return Answer(_run(call, job._replace(folder=folder)))


def benchmark(call: AgentCall) -> Answer:
    """Time inferences in a fresh process, and record the conditions of the board meanwhile.

    Raises:
        RefusalError: The process refused the job or died; a death carries the board's memory.
    """
    with call.board.store.workspace() as folder:
        job = _benchmark_job(call, "benchmark", folder)
        result, conditions = _run_watched(call, job)
        moments = result.pop("moments", [])
        run_fields = _keep_run(call, job, result)
        kept = _keep_conditions(call, folder, conditions, moments)
    return Answer({"run": run_fields, "conditions": kept})


def streams(call: AgentCall) -> Answer:
    """Time inferences in several fresh processes at the same time.

    Raises:
        RefusalError: A process refused the job or died; a death carries the board's memory.
    """
    with call.board.store.workspace() as folder:
        count = call.args.count("streams", 1, MOST_STREAMS)
        job = _benchmark_job(call, "streams", folder)._replace(streams=count)
        result, conditions = _run_watched(call, job)
        moments, runs = [], []
        for number, fields in enumerate(result["streams"]):
            moments += fields.pop("moments", [])
            own = job._replace(folder=os.path.join(folder, str(number)))
            runs.append(_keep_run(call, own, fields))
        kept = _keep_conditions(call, folder, conditions, moments)
    return Answer({"runs": runs, "conditions": kept})


def _benchmark_job(call: AgentCall, kind: str, folder: str) -> Job:
    args = call.args.with_defaults(_BACK_TO_BACK)
    return _model_job(call, kind)._replace(
        warmup_s=args.seconds("warmup_s"),
        duration_s=args.seconds("duration_s"),
        seed=args.count("seed", 0, (1 << 32) - 1),
        period_ns=args.count("period_ns"),
        soak=args.truth("soak"),
        integers=_integers(args),
        folder=folder,
    )


def _run_watched(call: AgentCall, job: Job) -> Tuple[Dict[str, Any], List[Conditions]]:
    """Run a job; return its result and the conditions of the board before, meanwhile and after."""
    conditions = ThinnedList(MOST_CONDITIONS)
    conditions.add(_conditions(call, "before"))

    def tick() -> None:
        conditions.add(_conditions(call, "during"))
        if call.board.host_waits():  # a host that sends a request now has pressed Ctrl-C
            open(os.path.join(job.folder, STOP), "w").close()

    try:
        result = _run(call, job, tick)
    except RefusalError as refusal:
        if refusal.code != CHILD_DIED:
            raise
        conditions.add_last(_conditions(call, "after"))
        limit_bytes = int(read_limits()["memory_limit_bytes"])
        raise with_memory_figures(refusal, conditions.entries, limit_bytes) from refusal
    conditions.add_last(_conditions(call, "after"))
    return result, conditions.entries


def stop(_: AgentCall) -> Answer:
    """Answer when the work that this request ended is done; its arrival is what ends it."""
    return Answer({})


def infer(call: AgentCall) -> Answer:
    """Run a model on tensors that were sent."""
    with call.board.store.workspace() as folder:
        job = _model_job(call, "infer")._replace(
            inputs=[_with_path(call, entry) for entry in call.args.records("inputs")],
            most_s=call.args.with_defaults({"most_s": 0}).seconds("most_s"),
            reset=_reset(call.args),
            outputs=os.path.join(folder, "output"),
            folder=folder,
        )
        result = _run(call, job)
        _adopt_outputs(call, result)
    return Answer(result)


def run(call: AgentCall) -> Answer:
    """Run a model on samples that were sent, as its card says it.

    Raises:
        RefusalError: The card is wrong, or the process refused the job or died.
    """
    from device_agent.contract.model_card import CardError, card_from_plain  # only for this

    card = call.args.record("card")
    try:
        card_from_plain(card)
    except CardError as error:
        raise RefusalError(BAD_REQUEST, "the card is wrong: {}".format(error)[:500]) from error
    with call.board.store.workspace() as folder:
        keep_outputs = call.args.truth("keep_outputs")
        job = _model_job(call, "run")._replace(
            card=card,
            reset=_reset(call.args),
            samples=[_sample(call, entry) for entry in call.args.records("samples")],
            answers=os.path.join(folder, "answers"),
            outputs=os.path.join(folder, "output") if keep_outputs else "",
            folder=folder,
        )
        result = _run(call, job)
        result["answers"] = call.board.store.scratch.adopt(job.answers)
        _adopt_outputs(call, result)
    return Answer(result)


def _nothing() -> None:
    pass


def _run(call: AgentCall, job: Job, tick: Callable[[], None] = _nothing) -> Dict[str, Any]:
    return call.board.run_job(job, call.args.seconds("timeout_s"), call.emit, tick)


def _conditions(call: AgentCall, moment: str) -> Conditions:
    return call.board.read_conditions()._replace(moment=moment)


def _keep_run(call: AgentCall, job: Job, result: Dict[str, Any]) -> Dict[str, Any]:
    """Keep the files of one process; its result names them by their digests."""
    scratch, series = call.board.store.scratch, result.get("series", {})
    result["samples"] = scratch.adopt(job.samples_path)
    result["end_to_end"] = scratch.adopt(job.end_to_end_path)
    result["series"] = {name: scratch.adopt(series[name]) for name in sorted(series)}
    return result


def _keep_conditions(
    call: AgentCall, folder: str, conditions: List[Conditions], moments: List[Dict[str, Any]]
) -> str:
    """Keep the conditions of a job in the order of time; return the digest of their file."""
    entries = [dict(entry._asdict()) for entry in conditions] + moments
    entries.sort(key=lambda entry: int(entry["monotonic_ns"]))
    path = os.path.join(folder, "conditions")  # a file: hours of them outgrow a line
    with open(path, "w", encoding="ascii") as file:
        json.dump(entries, file)
    return call.board.store.scratch.adopt(path)


def _adopt_outputs(call: AgentCall, result: Dict[str, Any]) -> None:
    for entry in result["outputs"]:
        entry["sha256"] = call.board.store.scratch.adopt(entry.pop("path"))


def _runtime_job(call: AgentCall, kind: str) -> Job:
    tree = call.args.text("tree")
    runtime = call.args.with_defaults(_PLAIN_RUNTIME)
    require_own_delegate(call, runtime.text("delegate"))
    name = runtime.text("runtime")
    has_engines = distribution_of(name) == TENSORRT
    return Job(
        kind=kind,
        runtime=name,
        engines=call.board.store.folders.make_engines() if has_engines else "",
        tree=call.board.store.trees.path(tree) if tree else "",
        delegate=runtime.text("delegate"),
        allow_cpu=runtime.truth("allow_cpu"),
        cores=runtime.sizes("cores"),
    )


def _model_job(call: AgentCall, kind: str) -> Job:
    model = call.board.store.file_path(call.args.text("model"))
    threads = call.args.count("threads", 1, MOST_THREADS)
    return _runtime_job(call, kind)._replace(model=model, threads=threads)


def _integers(args: Arguments) -> List[int]:
    integers = args.sizes("integers")
    if integers and (len(integers) != 2 or not 0 <= integers[0] <= integers[1] <= 127):
        message = "field integers must be two whole numbers from 0 to 127, found {}"
        raise RefusalError(BAD_REQUEST, message.format(integers[:3]))
    return integers


def _reset(args: Arguments) -> str:
    reset = args.with_defaults({"reset": RESET}).text("reset")
    if reset not in WAYS:
        message = "field reset must be one of {}, found {!r}"
        raise RefusalError(BAD_REQUEST, message.format(", ".join(WAYS), reset[:80]))
    return reset


def _sample(call: AgentCall, entry: Dict[str, Any]) -> Dict[str, Any]:
    inputs = Arguments(entry).records("inputs")
    shapes = [Arguments(fields).sizes("shape") for fields in inputs]
    files = [_with_path(call, fields) for fields in inputs]
    return {"inputs": [dict(file, shape=shape) for file, shape in zip(files, shapes)]}


def _with_path(call: AgentCall, entry: Dict[str, Any]) -> Dict[str, Any]:
    fields = Arguments(entry)
    path = call.board.store.file_path(fields.text("sha256"))
    return {"name": fields.text("name"), "dtype": fields.text("dtype"), "path": path}
