"""Runs a .tflite on this host in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from converters.isolated_run import run_in_process
from device_agent.contract.state import RESET

Array = npt.NDArray[Any]


def run_isolated(
    path: Path,
    inputs: Mapping[str, Array],
    on_progress: Callable[[int, int], None] | None = None,
    most_s: float | None = None,
    reset: str = RESET,
) -> dict[str, Array]:
    """Run a .tflite; see `converters.isolated_run.run_in_process`."""
    place = "converters.tflite.run:run_model"
    return run_in_process(place, path, inputs, on_progress, most_s, reset)
