"""Reads the profile that ONNX Runtime writes: one event for each step of each run."""

from __future__ import annotations

import json
import re
from typing import Any, Callable, Dict, List, Optional

from device_agent.contract.placement import provider_name
from device_agent.runtimes.driver import name_runtime_errors
from device_agent.runtimes.profile import (
    TimedStep,
    interruptions,
    no_profile,
    sample_runs,
    summarize_runs,
)

#: End of the name of the event of a step, and the event that ends a run.
_STEP, _RUN = "_kernel_time", "model_run"

#: Suffixes that the runtime gives to the name of a node that it fuses or lays out anew.
_SUFFIXES = re.compile(r"(_token_\d+|_nchwc)+\Z")

_UNREADABLE = "the profile that this release of ONNX Runtime writes cannot be read"


def profile_session(
    run: Callable[[], object],
    run_with_events: Callable[[], object],
    end: Callable[[], str],
    duration_s: float,
) -> Dict[str, Any]:
    """Run a model for a while, and report the median of each step.

    Args:
        run: Runs the model in a session without a profile.
        run_with_events: Runs it in a session that writes a profile.
        end: Ends that session, and returns the path of its profile.
        duration_s: Duration in seconds.

    Returns:
        The fields of `OpTimes`.

    Raises:
        RefusalError: The model fails.
    """

    def run_profiled() -> bool:
        run_with_events()  # not counted: its caches are cold
        before = interruptions()
        run_with_events()
        return interruptions() != before

    with name_runtime_errors():
        runs = sample_runs(run, run_profiled, duration_s)
    steps = read_profile(end())
    if steps is None or len(steps) <= 2 * runs.positions[-1] + 1:
        return no_profile(_UNREADABLE)
    return summarize_runs(runs, steps[1::2])


def place_steps(path: str) -> Optional[Dict[str, Dict[str, int]]]:
    """Count the operators of each execution provider in the last run of a profile.

    Args:
        path: Path of the profile.

    Returns:
        By provider, then by operator: how many; `None` where the profile cannot be read.
    """
    runs = read_profile(path)
    if not runs:
        return None
    counts: Dict[str, Dict[str, int]] = {}
    for step in runs[-1]:
        ops = counts.setdefault(step.executor, {})
        ops[step.op] = ops.get(step.op, 0) + 1
    return counts


def read_profile(path: str) -> Optional[List[List[TimedStep]]]:
    """Read the steps of each run, in the order in which they ran.

    Args:
        path: Path of the profile.

    Returns:
        Steps of each run; `None` where the file has another form.
    """
    runs: List[List[TimedStep]] = []
    steps: List[TimedStep] = []
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            events = json.load(file)
        for event in events:
            name = str(event["name"])
            if event["cat"] == "Node" and name.endswith(_STEP):
                values = event["args"]
                executor = provider_name(str(values["provider"]))
                layer = _SUFFIXES.sub("", name[: -len(_STEP)])
                steps.append(
                    TimedStep(str(values["op_name"]), executor, float(event["dur"]), layer)
                )
            elif name == _RUN:
                runs.append(steps)
                steps = []
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return runs
