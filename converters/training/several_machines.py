"""A conversion on several machines: only worker 0 reports and writes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from converters.progress import Progress, Report, ignore
from converters.training.parallel import WORKER_LOST_ERRORS, begin, meet, report_lost_workers
from converters.workers import Worker, worker_of


@dataclass(frozen=True)
class WorkerGroup:
    """The workers of a conversion, from the view of this one."""

    strategy: Any
    """Strategy of `tf.distribute`; None where there is one device."""
    worker: Worker | None
    """This worker; None if it works alone."""
    report: Report
    """Function that receives the progress; it ignores the progress of all workers but worker 0."""

    @property
    def leads(self) -> bool:
        """Whether this worker writes the results."""
        return self.worker is None or self.worker.leads


@contextlib.contextmanager
def join_workers(report: Report) -> Iterator[WorkerGroup]:
    """Connect to the other workers, and wait for them at the end.

    Args:
        report: Function that receives the progress.

    Raises:
        ConversionError: Another worker does not start, or ends before this one is done.
    """
    worker = worker_of(os.environ)
    if worker is not None:
        report(Progress("wait for the other workers", 0, 0, str(worker)))
    with report_lost_workers(worker):
        strategy = begin(worker)
        if worker is not None and not worker.leads:
            report(Progress(f"train with {worker.addresses[0]}, which reports", 0, 0))
            report = ignore
        yield WorkerGroup(strategy, worker, report)
        # No worker ends before the results exist: the others would report it as lost.
        with contextlib.suppress(
            *(WORKER_LOST_ERRORS if worker is not None and worker.leads else ())
        ):
            meet(strategy)
