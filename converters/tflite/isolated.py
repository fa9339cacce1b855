"""Runs a .tflite on this host in a process of its own."""

from __future__ import annotations

from functools import partial

from converters.isolated_run import run_in_process
from converters.model_file import RunOnHost

#: Function that runs a .tflite, whatever the file does to the runtime.
run_isolated: RunOnHost = partial(run_in_process, "converters.tflite.run:run_model")
