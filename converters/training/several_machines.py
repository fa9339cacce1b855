"""A conversion as one of several machines does it: worker 0 alone reports and writes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from converters.progress import Progress, Report, ignore
from converters.training.parallel import ENDED, begin, lost_workers_told, meet
from converters.workers import Worker, worker_of


@dataclass(frozen=True)
class Together:
    """Whom a conversion is done with."""

    strategy: Any
    """Of `tf.distribute`; None where there is one device."""
    worker: Worker | None
    """Who this is, if there are several."""
    report: Report
    """Where progress goes: nowhere but from worker 0."""

    @property
    def leads(self) -> bool:
        """Whether the results are to be written here."""
        return self.worker is None or self.worker.leads


@contextlib.contextmanager
def together(report: Report) -> Iterator[Together]:
    """Find the others, and part from them at the end.

    Args:
        report: Where progress goes.

    Raises:
        ConversionError: Another worker does not start, or ends before this one is done.
    """
    worker = worker_of(os.environ)
    if worker is not None:
        report(Progress("wait for the other workers", 0, 0, str(worker)))
    with lost_workers_told(worker):
        strategy = begin(worker)
        if worker is not None and not worker.leads:
            report(Progress(f"train with {worker.addresses[0]}, which reports", 0, 0))
            report = ignore
        yield Together(strategy, worker, report)
        # Nobody leaves before the results are there: the others would take it for dead.
        with contextlib.suppress(*(ENDED if worker is not None and worker.leads else ())):
            meet(strategy)
