"""`--track`: conversions and measurements for a tracker of experiments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.cli import output

if TYPE_CHECKING:
    from toolkit.results.record import ResultRecord
    from toolkit.track.tracked_run import TrackedRun

track = click.option(
    "--track",
    "tracker",
    type=click.Choice(["tensorboard", "mlflow", "wandb"]),
    help="Also write epochs, figures and digests for this tracker, into .kedge/track; the default "
    "is `to` of [track] in kedge.toml.",
)


def tracked_records(records: Sequence[ResultRecord]) -> list[TrackedRun]:
    """Return what is sent of measurements, a run for each row."""
    from toolkit.track.tracked_run import run_of_record

    return [run_of_record(record) for record in records]


def send_to_tracker(name: str | None, runs: Callable[[], Sequence[TrackedRun]]) -> None:
    """Send runs to the tracker of the command line or of the project; a failure is a warning.

    Args:
        name: Tracker of the command line; `None` for that of kedge.toml.
        runs: Function that returns the runs.
    """
    from targets.errors import TargetError
    from targets.project_file import find_file
    from targets.project_trust import is_trusted
    from toolkit.errors import ToolkitError

    path = find_file(Path.cwd())
    if name is None and (path is None or not is_trusted(path)):
        return
    try:
        from toolkit.track.trackers import track_runs, tracker_of_project

        if name is None and path is not None:
            name = tracker_of_project(path)
        if name is None:
            return
        project = Path.cwd() if path is None else path.parent
        next_step = track_runs(name, runs(), project)
    except (ToolkitError, TargetError) as error:
        output.warn(f"nothing was tracked: {error}. {error.hint}")
        return
    output.note(f"tracked; to look at it: {next_step}")
