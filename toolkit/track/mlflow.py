"""Sends runs to MLflow: to a folder of files, or to where MLFLOW_TRACKING_URI says.

This is the one file that imports MLflow.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from toolkit.track.tracked_run import TrackedRun

#: Name of the experiment that has all runs.
EXPERIMENT = "kedge"

#: Settings of MLflow: it reports nothing to its maker, may write files, and gives up soon on a
#: server of the user's that does not answer.
_FORCED = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ALLOW_FILE_STORE": "true"}
_DEFAULTS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
#: Most values that one request takes.
_BATCH = 1000


def track_in_mlflow(runs: Sequence[TrackedRun], folder: Path) -> str:
    """Write each run as a run of MLflow's experiment `kedge`.

    Args:
        runs: Runs.
        folder: Folder of the file store, where MLFLOW_TRACKING_URI names no other place.

    Returns:
        Next step for a person.

    Raises:
        ImportError: MLflow is not installed.
        MlflowException: The store cannot be written, or does not answer.
    """
    os.environ.update(_FORCED)
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    from mlflow.entities import Metric, Param
    from mlflow.tracking import MlflowClient

    place = os.environ.get("MLFLOW_TRACKING_URI") or folder.absolute().as_uri()
    client = MlflowClient(tracking_uri=place)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    number = experiment.experiment_id if experiment else client.create_experiment(EXPERIMENT)
    for run in runs:
        begun = client.create_run(number, run_name=run.name, tags={"kedge": run.facts["kind"]})
        now = int(time.time() * 1000)
        facts = [Param(name, value[:6000]) for name, value in run.facts.items()]
        client.log_batch(begun.info.run_id, params=facts)
        metrics = [Metric(name, value, now, 0) for name, value in run.figures.items()]
        metrics += [
            Metric(name, value, now, step)
            for name, values in run.epochs.items()
            for step, value in enumerate(values)
        ]
        for first in range(0, len(metrics), _BATCH):
            client.log_batch(begun.info.run_id, metrics=metrics[first : first + _BATCH])
        client.set_terminated(begun.info.run_id)
    return f"mlflow ui --backend-store-uri {place}"
