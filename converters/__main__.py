"""The child process of a conversion: one request on stdin, JSON lines on what was stdout.

Its parent handles Ctrl-C and clears up after it; when the parent is gone, so is this.
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
from pathlib import Path
from typing import IO, Any

from converters import durable
from converters.errors import ConversionError
from converters.measure import Measure, measure_in_parent
from converters.progress import Progress
from converters.request import ConversionRequest

Answer = Callable[[dict[str, Any]], None]


def main() -> None:
    """Do the one conversion that stdin asks for, and end."""
    answer = _answers()
    order = json.loads(sys.stdin.readline())
    work = Path(order["work"])
    said: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_follow_parent, args=(sys.stdin, work, said), daemon=True).start()
    request = ConversionRequest.from_json(order["request"])
    measure = measure_in_parent(answer, said) if order["measures"] else None
    answer(_outcome(request, work, order["task"], answer, measure))
    # TensorFlow's own goodbye takes a while and may even crash; all that matters is on the disk.
    os._exit(0)


def _answers() -> Answer:
    """Keep stdout for answers alone: what libraries print goes where errors go."""
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(event: dict[str, Any]) -> None:
        pipe.write(json.dumps(event) + "\n")
        pipe.flush()

    return answer


def _follow_parent(stdin: IO[str], work: Path, said: queue.SimpleQueue[dict[str, Any]]) -> None:
    """Take what the parent answers; it holds stdin open for as long as it lives."""
    for line in stdin:
        said.put(json.loads(line))
    shutil.rmtree(work, ignore_errors=True)
    os._exit(1)


def _outcome(
    request: ConversionRequest,
    work: Path,
    task: str,
    answer: Answer,
    measure: Measure | None,
) -> dict[str, Any]:
    def report(progress: Progress) -> None:
        answer(
            {
                "event": "progress",
                "stage": progress.stage,
                "done": progress.done,
                "total": progress.total,
                "detail": progress.detail,
            }
        )

    try:
        report(Progress("load TensorFlow", 0, 0))
        if task == "plan":
            from converters.work.estimate import estimate_plan

            return {"event": "done", "plan": asdict(estimate_plan(request, report))}
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
