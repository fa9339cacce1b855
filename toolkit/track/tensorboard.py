"""Writes runs as event files of TensorBoard; the one file that imports it.

Its own writer would load TensorFlow where that is installed; this one uses its records alone.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toolkit.track.tracked_run import TrackedRun


def track_in_tensorboard(runs: Sequence[TrackedRun], folder: Path) -> str:
    """Write a folder with an event file for each run.

    Args:
        runs: Runs.
        folder: Folder of all runs.

    Returns:
        Next step for a person.

    Raises:
        ImportError: TensorBoard is not installed.
        OSError: The folder cannot be written.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    for number, run in enumerate(runs):
        now = time.time()
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", run.name)[:80]
        place = folder / f"{stamp}-{number}-{name}"
        place.mkdir(parents=True)
        with (place / f"events.out.tfevents.{int(now)}.kedge").open("xb") as file:
            writer = RecordWriter(file)
            events = [Event(wall_time=now, file_version="brain.Event:2")]
            events += [
                Event(wall_time=now, step=step, summary=_scalar(name, value))
                for name, values in run.epochs.items()
                for step, value in enumerate(values)
            ]
            events += [
                Event(wall_time=now, step=0, summary=_scalar(name, value))
                for name, value in run.figures.items()
            ]
            events.append(Event(wall_time=now, step=0, summary=_text("facts", run.facts)))
            for event in events:
                writer.write(event.SerializeToString())
    return f"tensorboard --logdir {folder}"


def _scalar(name: str, value: float) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Summary(value=[Summary.Value(tag=name, simple_value=value)])


def _text(name: str, facts: Any) -> Any:
    """A table in Markdown, which TensorBoard shows as text."""
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING

    rows = ["| fact | value |", "|---|---|", *(f"| {key} | `{facts[key]}` |" for key in facts)]
    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
    tensor = TensorProto(dtype=DT_STRING, string_val=["\n".join(rows).encode()])
    return Summary(value=[Summary.Value(tag=name, metadata=metadata, tensor=tensor)])
