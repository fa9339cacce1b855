"""Writes runs for Weights & Biases, always offline; the one file that imports it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from toolkit.track.tracked_run import TrackedRun

#: Name of the project that has all runs.
PROJECT = "kedge"


def track_in_wandb(runs: Sequence[TrackedRun], folder: Path) -> str:
    """Write each run into a folder, from which `wandb sync` sends it.

    Args:
        runs: Runs.
        folder: Folder of all runs.

    Returns:
        Next step for a person.

    Raises:
        ImportError: W&B is not installed.
        OSError: The folder cannot be written.
    """
    os.environ["WANDB_ERROR_REPORTING"] = "false"
    os.environ["WANDB_MODE"] = "offline"
    import wandb

    folder.mkdir(parents=True, exist_ok=True)
    settings = wandb.Settings(
        silent=True,
        console="off",
        save_code=False,
        disable_git=True,
        x_disable_stats=True,
        x_disable_meta=True,
        x_save_requirements=False,
    )
    for run in runs:
        with wandb.init(
            project=PROJECT,
            name=run.name,
            job_type=run.facts["kind"],
            config=dict(run.facts),
            dir=str(folder),
            mode="offline",
            settings=settings,
        ) as begun:
            steps = max((len(values) for values in run.epochs.values()), default=0)
            for step in range(steps):
                figures = {n: v[step] for n, v in run.epochs.items() if step < len(v)}
                begun.log(figures, step=step)
            begun.summary.update(dict(run.figures))
    return f"wandb sync --sync-all {folder / 'wandb'}"
