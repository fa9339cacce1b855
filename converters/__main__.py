"""The child process of a conversion: orders on stdin, JSON lines on what was stdout.

Its parent handles Ctrl-C and clears up after it; when the parent is gone, so is this. With `--stay`
it loads TensorFlow and does each order in a fork of itself; without, it does one order and ends.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from converters import durable
from converters.child import ENDED, STAY
from converters.data.user_function import printed
from converters.deadline import watched
from converters.errors import ConversionError
from converters.measure import Measure, measure_in_parent
from converters.progress import PRINTED, Progress, Report
from converters.request import ConversionRequest
from converters.sources.kinds import identify
from converters.sources.source_file import KERAS_3

Answer = Callable[[dict[str, Any]], None]

#: Modules that take long to load and start no thread: a fork finds them loaded.
_SLOW_MODULES = ("converters.work.pipeline", "ai_edge_quantizer", "tensorflow_model_optimization")


def main() -> None:
    """Do the orders of stdin, and end."""
    answer = _answers()
    if STAY not in sys.argv[1:]:
        _do(sys.stdin.readline(), answer)
    workspace = None
    for line in iter(sys.stdin.readline, ""):
        workspace = json.loads(line)["workspace"]
        _load_modules(line, answer)
        process = os.fork()
        if process == 0:
            _do(line, answer)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        try:
            answer({"event": ENDED, "code": code})
        except BrokenPipeError:
            break
    if workspace is not None:
        shutil.rmtree(workspace, ignore_errors=True)
    os._exit(0)


def _do(line: str, answer: Answer) -> None:
    """Do one order and end this process."""
    order = json.loads(line)
    said: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    workspace = Path(order["workspace"])
    threading.Thread(target=_follow_parent, args=(sys.stdin, workspace, said), daemon=True).start()
    measure = measure_in_parent(answer, said) if order["measures"] else None
    answer(_outcome(order, answer, measure))
    # TensorFlow's own goodbye takes a while and may even crash; all that matters is on the disk.
    os._exit(0)


def _load_modules(line: str, answer: Answer) -> None:
    """Load, once, what all forks need. What fails here fails again in the fork, which says it."""
    _reporter(answer)(Progress("load TensorFlow", 0, 0))
    request = ConversionRequest.from_json(json.loads(line)["request"])
    try:
        for name in _SLOW_MODULES:
            import_module(name)
        if identify(request.model).kind == KERAS_3:
            import_module("keras")
    except Exception:
        traceback.print_exc()


def _answers() -> Answer:
    """Keep stdout for answers alone: what libraries print goes where errors go."""
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(event: dict[str, Any]) -> None:
        # In front as well: a fork that died may have left half a line.
        pipe.write("\n" * (event["event"] == ENDED) + json.dumps(event) + "\n")
        pipe.flush()

    return answer


def _follow_parent(
    stdin: IO[str], workspace: Path, said: queue.SimpleQueue[dict[str, Any]]
) -> None:
    """Take what the parent answers; it holds stdin open for as long as it lives."""
    for line in stdin:
        said.put(json.loads(line))
    shutil.rmtree(workspace, ignore_errors=True)
    os._exit(1)


def _reporter(answer: Answer) -> Report:
    def report(progress: Progress) -> None:
        answer({"event": "progress", **asdict(progress)})

    return report


def _outcome(order: dict[str, Any], answer: Answer, measure: Measure | None) -> dict[str, Any]:
    report = _reporter(answer)
    request = ConversionRequest.from_json(order["request"])
    work = Path(order["work"])
    watched.end_with = lambda error: _end_with(error, answer)
    printed.show = lambda line: report(Progress(PRINTED, 0, 0, line))
    # PyTorch with CUDA brings triton and loads it if it can: its copy of LLVM beside TensorFlow's
    # ends the process by SIGSEGV (triton 3.8, TensorFlow 2.21). The export to ONNX needs none.
    sys.modules["triton"] = None  # type: ignore[assignment]
    try:
        report(Progress("load TensorFlow", 0, 0))
        if order["task"] == "plan":
            from converters.work.estimate import estimate_plans

            plans = estimate_plans(request, order["recipes"], order["sent_at"], report)
            return {"event": "done", "plans": [asdict(plan) for plan in plans]}
        if order["task"] == "judge":
            from converters.work.late_judgement import judge_folders

            judgements = judge_folders(request, order["folders"], report)
            return {"event": "done", "judgements": judgements}
        from converters.work import pipeline

        pipeline.run_pipeline(request, work, report, measure)
    except OSError as error:
        return _error(durable.error_of(error, f"{error.filename or work}: cannot be used"))
    except MemoryError:
        return _error(
            ConversionError("the memory ran out", "Use less data, or a machine with more memory.")
        )
    except ConversionError as error:
        return _error(error)
    except Exception:  # a bug: the parent raises it with this traceback
        return {"event": "bug", "traceback": traceback.format_exc()}
    return {"event": "done"}


def _end_with(error: ConversionError, answer: Answer) -> None:
    """Answer an error from a thread, and end the process: the order itself hangs."""
    answer(_error(error))
    os._exit(1)


def _error(error: ConversionError) -> dict[str, Any]:
    traceback.print_exception(error)
    return {
        "event": "error",
        "type": type(error).__name__,
        "message": str(error),
        "hint": error.hint,
        "exit_code": error.exit_code,
    }


if __name__ == "__main__":
    main()
