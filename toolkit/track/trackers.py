"""The trackers by name, and what a project says about them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from targets.inventory_file import parse_text, read_text
from toolkit.errors import ToolkitError
from toolkit.project import project_folder
from toolkit.track.tracked_run import TrackedRun, Tracker

#: Name of each tracker to the module and the function that writes its runs.
TRACKERS = {
    "tensorboard": ("toolkit.track.tensorboard", "track_in_tensorboard"),
    "mlflow": ("toolkit.track.mlflow", "track_in_mlflow"),
    "wandb": ("toolkit.track.wandb", "track_in_wandb"),
}


class TrackError(ToolkitError):
    """A tracker cannot be used; nothing of the conversion or measurement is lost."""


def tracker_of_project(path: Path) -> str | None:
    """Return the tracker that `[track] to` of a kedge.toml names; `None` for none.

    Args:
        path: The file.

    Raises:
        InventoryError: It cannot be read.
        TrackError: The name is unknown.
    """
    table = parse_text(path, read_text(path)).get("track")
    if table is None:
        return None
    name = table.get("to") if isinstance(table, dict) else table
    if name not in TRACKERS:
        raise TrackError(
            f"{path}: to of [track] is {str(name)[:60]!r}, expected {' or '.join(TRACKERS)}",
            "Correct it there.",
        )
    return str(name)


def track_runs(name: str, runs: Sequence[TrackedRun], project: Path) -> str:
    """Write runs for a tracker.

    Args:
        name: Key of `TRACKERS`.
        runs: Runs.
        project: Folder of the project; the runs are in `.kedge` there.

    Returns:
        Next step for a person.

    Raises:
        TrackError: The tracker's package is missing, or it failed; the message says how.
    """
    module, function = TRACKERS[name]
    try:
        tracker: Tracker = getattr(import_module(module), function)
        return tracker(runs, project_folder(project, "track", name))
    except ImportError as error:
        raise TrackError(
            f"{name} is not installed ({error})", f'Install it: pip install "kedge[{name}]"'
        ) from error
    except Exception as error:  # whatever a library of others raises: the work itself is done
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TrackError(f"{name} took nothing: {reason}", "The results are kept.") from error
