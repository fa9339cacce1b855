"""One conversation with a host: a request in, an answer out.

The session decides; files, processes and the board itself are behind the objects it was given.
Every operation is a method in `Session.operations`, which checks what it was sent before it acts.
"""

from __future__ import annotations

import json
import os
import reprlib
from typing import Any, Callable, Dict, List, NamedTuple, NoReturn, Optional

from device_agent.board.conditions import boot_id
from device_agent.board.memory_death import with_memory_figures
from device_agent.contract.codes import BAD_REQUEST, CHILD_DIED, RefusalError
from device_agent.contract.conditions import Conditions
from device_agent.contract.wire import Request
from device_agent.store.store import Read, Store
from device_agent.timing.stop_file import STOP
from device_agent.timing.thinned import Thinned

Event = Callable[[Dict[str, Any]], None]

#: Runs a job: (job, timeout in seconds, event sink, what to do every tick) to its answer.
RunJob = Callable[[Dict[str, Any], float, Event, Callable[[], None]], Dict[str, Any]]

#: More threads than any board has cores; a runtime takes what it is told without a check.
MOST_THREADS = 1024

#: Of a run: one for each second at first, then one for each two, and so on.
MOST_CONDITIONS = 1024

#: How a benchmark asks for its runs unless it is told.
_BACK_TO_BACK: Dict[str, Any] = {"period_ns": 0, "soak": False}

#: What a job runs on unless it is told: the runtime's own kernels, on any core.
_PLAIN_RUNTIME: Dict[str, Any] = {"delegate": "", "allow_cpu": False, "cores": []}


class Answer(NamedTuple):
    """What goes back: a result, and the file whose bytes follow it."""

    result: Dict[str, Any]
    body: Optional[str] = None


class Surroundings(NamedTuple):
    """All that a session may touch."""

    store: Store
    run_job: RunJob
    read_facts: Callable[[], Dict[str, Any]]
    read_conditions: Callable[[], Conditions]
    agent_sha256: str
    host_asks: Callable[[], bool] = lambda: False
    """Whether the host has asked for something else while a job runs."""


def _nothing() -> None:
    pass


class Session:
    """The operations of the agent."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._around = surroundings
        self._store = surroundings.store
        self.operations: Dict[str, Callable[[_Args, Read, Event], Answer]] = {
            "hello": self._hello,
            "reserve": self._reserve,
            "offset": self._offset,
            "put": self._put,
            "get": self._get,
            "drop": self._drop,
            "has_tree": self._has_tree,
            "unpack": self._unpack,
            "describe": self._describe,
            "profile": self._profile,
            "benchmark": self._benchmark,
            "stop": self._stop,
            "infer": self._infer,
            "run": self._run,
        }

    def handle(self, request: Request, read: Read, emit: Event) -> Answer:
        """Answer one request.

        Args:
            request: What the host asks.
            read: Reads the raw bytes that a `put` announces.
            emit: Sends an event to the host.

        Raises:
            RefusalError: The request is refused; nothing was changed.
        """
        operation = self.operations.get(request.op)
        if operation is None:
            raise RefusalError(BAD_REQUEST, "unknown operation {!r}".format(request.op[:100]))
        return operation(_Args(request.args), read, emit)

    def _hello(self, _: _Args, __: Read, ___: Event) -> Answer:
        facts = self._around.read_facts()
        own = {
            "agent_sha256": self._around.agent_sha256,
            "boot_id": boot_id(),
        }
        return Answer(dict(facts, **own))

    def _reserve(self, args: _Args, _: Read, emit: Event) -> Answer:
        is_first = not self._store.reservation.is_held
        self._store.reservation.take(
            args.text("who"),
            args.seconds("timeout_s"),
            lambda other: emit({"phase": "wait for {}".format(other)}),
        )
        if is_first:
            self._store.remove_left_data()
        return Answer({})

    def _offset(self, args: _Args, _: Read, __: Event) -> Answer:
        sha256 = args.text("sha256")
        offset, path = self._store.offset(sha256, args.count("size"))
        return Answer({"offset": offset, "path": path})

    def _put(self, args: _Args, read: Read, _: Event) -> Answer:
        size, offset = args.count("size"), args.count("offset")
        if offset > size:
            raise RefusalError(BAD_REQUEST, "offset {} lies behind the end {}".format(offset, size))
        self._store.receive(args.text("sha256"), size, offset, read)
        return Answer({"path": self._store.path(args.text("sha256"))})

    def _get(self, args: _Args, _: Read, __: Event) -> Answer:
        path = self._store.path(args.text("sha256"))
        return Answer({"size": os.path.getsize(path)}, body=path)

    def _drop(self, args: _Args, _: Read, __: Event) -> Answer:
        return Answer({"dropped": self._store.drop(args.texts("sha256"))})

    def _has_tree(self, args: _Args, _: Read, __: Event) -> Answer:
        return Answer({"present": self._store.has_tree(args.text("tree"))})

    def _unpack(self, args: _Args, _: Read, __: Event) -> Answer:
        tree = args.text("tree")
        self._store.unpack(tree, args.texts("wheels"))
        if "keep" in args:
            self._store.remove_other_trees([tree, *args.texts("keep")])
        return Answer({})

    def _describe(self, args: _Args, _: Read, emit: Event) -> Answer:
        job = dict(self._runtime_of(args), job="describe")
        return Answer(self._do(job, args, emit))

    def _profile(self, args: _Args, _: Read, emit: Event) -> Answer:
        model = self._store.path(args.text("model"))
        duration_s = args.seconds("duration_s")
        job = dict(self._runtime_of(args), job="profile", model=model, duration_s=duration_s)
        return Answer(self._do(job, args, emit))

    def _benchmark(self, args: _Args, _: Read, emit: Event) -> Answer:
        pace = args.with_defaults(_BACK_TO_BACK)
        seen = Thinned(MOST_CONDITIONS)
        seen.add(self._conditions("before"))
        with self._store.workspace() as folder:
            job = dict(
                self._model_of(args),
                job="benchmark",
                warmup_s=args.seconds("warmup_s"),
                duration_s=args.seconds("duration_s"),
                seed=args.count("seed", 0, (1 << 32) - 1),
                period_ns=pace.count("period_ns"),
                soak=pace.truth("soak"),
                samples=os.path.join(folder, "samples"),
                end_to_end=os.path.join(folder, "whole"),
                series_folder=folder,
            )
            try:
                result = self._do(job, args, emit, lambda: self._tick(seen, folder))
            except RefusalError as refusal:
                if refusal.code != CHILD_DIED:
                    raise
                seen.add_last(self._conditions("after"))
                raise with_memory_figures(refusal, seen.kept) from refusal
            seen.add_last(self._conditions("after"))
            return self._keep_benchmark(folder, job, result, seen.kept)

    def _tick(self, seen: Thinned, folder: str) -> None:
        seen.add(self._conditions("during"))
        if self._around.host_asks():  # whoever asks now has pressed Ctrl-C
            open(os.path.join(folder, STOP), "w").close()

    def _stop(self, _: _Args, __: Read, ___: Event) -> Answer:
        """Answered when the work that it ended has been; that it came is what ends it."""
        return Answer({})

    def _keep_benchmark(
        self, folder: str, job: Dict[str, Any], result: Dict[str, Any], seen: List[Conditions]
    ) -> Answer:
        conditions = [dict(entry._asdict()) for entry in seen] + result.pop("moments", [])
        conditions.sort(key=lambda entry: int(entry["monotonic_ns"]))
        path = os.path.join(folder, "conditions")  # a file: hours of them outgrow a line
        with open(path, "w", encoding="ascii") as file:
            json.dump(conditions, file)
        result["samples"] = self._store.adopt(job["samples"])
        result["end_to_end"] = self._store.adopt(job["end_to_end"])
        series = result.get("series", {})
        result["series"] = {name: self._store.adopt(series[name]) for name in sorted(series)}
        return Answer({"run": result, "conditions": self._store.adopt(path)})

    def _conditions(self, moment: str) -> Conditions:
        return self._around.read_conditions()._replace(moment=moment)

    def _infer(self, args: _Args, _: Read, emit: Event) -> Answer:
        with self._store.workspace() as folder:
            job = dict(
                self._model_of(args),
                job="infer",
                inputs=[self._with_path(entry) for entry in args.records("inputs")],
                outputs=os.path.join(folder, "output"),
            )
            result = self._do(job, args, emit)
            self._adopt_outputs(result)
        return Answer(result)

    def _run(self, args: _Args, _: Read, emit: Event) -> Answer:
        from device_agent.contract.model_card import CardError, card_from_plain  # only for this

        try:
            card_from_plain(args.record("card"))
        except CardError as error:
            raise RefusalError(BAD_REQUEST, "the card is wrong: {}".format(error)[:500]) from error
        with self._store.workspace() as folder:
            job = dict(
                self._model_of(args),
                job="run",
                card=args.record("card"),
                samples=[self._sample(entry) for entry in args.records("samples")],
                answers=os.path.join(folder, "answers"),
                outputs=os.path.join(folder, "output") if args.truth("keep_outputs") else "",
            )
            result = self._do(job, args, emit)
            result["answers"] = self._store.adopt(job["answers"])
            self._adopt_outputs(result)
        return Answer(result)

    def _do(
        self, job: Dict[str, Any], args: _Args, emit: Event, tick: Callable[[], None] = _nothing
    ) -> Dict[str, Any]:
        return self._around.run_job(job, args.seconds("timeout_s"), emit, tick)

    def _adopt_outputs(self, result: Dict[str, Any]) -> None:
        for entry in result["outputs"]:
            entry["sha256"] = self._store.adopt(entry.pop("path"))

    def _sample(self, entry: Dict[str, Any]) -> Dict[str, Any]:
        inputs = _Args(entry).records("inputs")
        return {"inputs": [dict(self._with_path(e), shape=_Args(e).sizes("shape")) for e in inputs]}

    def _runtime_of(self, args: _Args) -> Dict[str, Any]:
        tree = args.text("tree")
        asked = args.with_defaults(_PLAIN_RUNTIME)
        return {
            "runtime": args.text("runtime"),
            "tree": self._store.tree(tree) if tree else "",
            "delegate": asked.text("delegate"),
            "allow_cpu": asked.truth("allow_cpu"),
            "cores": asked.sizes("cores"),
        }

    def _model_of(self, args: _Args) -> Dict[str, Any]:
        model = self._store.path(args.text("model"))
        threads = args.count("threads", 1, MOST_THREADS)
        return dict(self._runtime_of(args), model=model, threads=threads)

    def _with_path(self, entry: Dict[str, Any]) -> Dict[str, Any]:
        fields = _Args(entry)
        path = self._store.path(fields.text("sha256"))
        return {"name": fields.text("name"), "dtype": fields.text("dtype"), "path": path}


class _Args:
    """Typed access to what a request carries; a wrong field is the host's fault."""

    def __init__(self, fields: Dict[str, Any]) -> None:
        self._fields = fields

    def with_defaults(self, defaults: Dict[str, Any]) -> _Args:
        return _Args(dict(defaults, **self._fields))

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def text(self, name: str) -> str:
        value = self._fields.get(name)
        if not isinstance(value, str):
            _refuse(name, "a string", value)
        return value

    def count(self, name: str, least: int = 0, most: int = 1 << 62) -> int:
        value = self._fields.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            _refuse(name, "a whole number from {} to {}".format(least, most), value)
        return value

    def seconds(self, name: str) -> float:
        value = self._fields.get(name)
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            _refuse(name, "seconds", value)
        if not 0 <= value <= 86400:
            _refuse(name, "seconds from 0 to a day", value)
        return float(value)

    def truth(self, name: str) -> bool:
        value = self._fields.get(name)
        if not isinstance(value, bool):
            _refuse(name, "true or false", value)
        return value

    def sizes(self, name: str) -> List[int]:
        values = self._fields.get(name)
        if not isinstance(values, list) or not all(type(value) is int for value in values):
            _refuse(name, "a list of whole numbers", values)
        return values

    def record(self, name: str) -> Dict[str, Any]:
        value = self._fields.get(name)
        if not isinstance(value, dict):
            _refuse(name, "an object", value)
        return value

    def texts(self, name: str) -> List[str]:
        values = self._fields.get(name)
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            _refuse(name, "a list of strings", values)
        return values

    def records(self, name: str) -> List[Dict[str, Any]]:
        values = self._fields.get(name)
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            _refuse(name, "a list of objects", values)
        return values


def _refuse(name: str, expected: str, found: object) -> NoReturn:
    message = "field {} must be {}, found {}".format(name, expected, reprlib.repr(found))
    raise RefusalError(BAD_REQUEST, message)
