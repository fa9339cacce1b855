"""Successive halving: trainings that fall behind end early. The decision is Optuna's.

Accuracy is compared only among trials of about the same latency: a fast network may be on the front
although a slow one is more accurate.
"""

from __future__ import annotations

import contextlib
import math
from typing import Any

from toolkit.search.study_errors import StudyUnreachableError
from toolkit.search.study_storage import StudyStorage

#: Number of kinds between a latency and twice this latency.
_KINDS_AN_OCTAVE = 4
#: Number of whole trainings of a kind before any is ended.
_LEAST_WHOLE = 4


class Training:
    """A training, among those of trials that are about as fast."""

    def __init__(self, storage: StudyStorage, latency_ratio: float) -> None:
        """Begin.

        Args:
            storage: Storage of the study.
            latency_ratio: Latency divided by that of the reference.
        """
        self.epochs = 0
        self.accuracy = 0.0
        self._storage = storage
        self._kind = round(_KINDS_AN_OCTAVE * math.log2(max(latency_ratio, 1e-6)))
        self._study: Any = None
        self._trial: Any = None

    def falls_behind(self, accuracy: float) -> bool:
        """Whether the training is to end after an epoch.

        Args:
            accuracy: Accuracy on the validation samples after the epoch, 0-1.
        """
        self.epochs += 1
        self.accuracy = max(self.accuracy, accuracy)
        states = self._storage.states

        def act() -> bool:
            if self._trial is None:
                self._study = self._storage.open_epochs(str(self._kind))
                self._trial = self._study.ask()
            trial = self._trial
            trial.report(self.accuracy, self.epochs)
            is_behind = bool(trial.should_prune())
            whole = self._study.get_trials(deepcopy=False, states=(states.COMPLETE,))
            if not is_behind or len(whole) < _LEAST_WHOLE:
                return False
            self._study.tell(trial, state=states.PRUNED)
            return True

        with contextlib.suppress(StudyUnreachableError):  # a training may do without
            return self._storage.act(act, patience_s=0.0)
        return False

    def end(self) -> None:
        """Note that the training is whole."""
        if self._trial is not None:
            with contextlib.suppress(StudyUnreachableError):
                self._storage.act(
                    lambda: self._study.tell(self._trial, self.accuracy), patience_s=0.0
                )
