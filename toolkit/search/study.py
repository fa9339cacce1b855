"""A study of Optuna: its trials, and what became of them.

The storage is a file in the folder of the search, or a database that several workers share.
"""

from __future__ import annotations

import socket
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from toolkit.search.halving import Training
from toolkit.search.objective import Objective
from toolkit.search.shared_study import SharedStudy
from toolkit.search.study_errors import SearchError, TrialLostError
from toolkit.search.study_storage import StudyStorage

_OUTCOME, _RECIPE, _WORKER = "outcome", "recipe", "worker"
_RESULT, _REASON, _VALUES = "result", "reason", "values"
_INPUTS, _POSTPONED = "inputs", "postponed"
_LONGEST_REASON = 500

T = TypeVar("T")


@dataclass(frozen=True)
class TrialRecord:
    """A trial that ended."""

    number: int
    """Number of the trial in its study."""
    recipe: str
    """Recipe of the trial, as TOML."""
    values: tuple[float, ...]
    """Value of each objective; the worst ones of a trial without a result."""
    result: Mapping[str, Any] | None
    """Result as plain data; None for a trial without a result."""
    reason: str
    """Reason why there is no result; "" where there is one."""
    worker: str
    """Host and folder of the worker that did the trial."""


@dataclass(frozen=True)
class RunningTrial:
    """A trial that some worker does now."""

    number: int
    """Number of the trial in its study."""
    recipe: str
    """Recipe of the trial, as TOML; "" while it is chosen."""
    worker: str
    """Host and folder of the worker."""


class StudyTrial:
    """A trial that this worker does."""

    def __init__(self, trial: Any, storage: StudyStorage) -> None:
        """Begin; only `Study.ask` does."""
        self.optuna_trial = trial
        self.number: int = trial.number
        self._storage = storage

    def choose(self, name: str, options: Sequence[Any]) -> Any:
        """Choose one of several values of the parameter `name`.

        Raises:
            SearchError: The study was begun with other options.
            TrialLostError: Another worker does the trial.
        """
        try:
            return self._storage.act(
                lambda: self.optuna_trial.suggest_categorical(name, list(options))
            )
        except ValueError as error:
            raise SearchError(
                f"the study has other values of {name!r} than this version of kedge offers",
                "Go on with the version that began the study, or begin anew with another --out "
                "or another name of the study.",
            ) from error


class Study:
    """Trials of one model, one data set and one set of boards."""

    def __init__(
        self,
        folder: Path,
        inputs: Mapping[str, str],
        seed: int,
        objectives: Sequence[Objective],
        shared: SharedStudy | None = None,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Open a study, or begin one.

        Trials that a dead process left are done again, with the values that they had.

        Args:
            folder: Folder of the search, which nobody else uses.
            inputs: Name of each input to its digest or its name; a study of others is refused.
            seed: Seed of the sampler.
            objectives: Objectives of the trials, in the order of their values.
            shared: Database of the study; None for a file in `folder`.
            report: Function that gets sentences about waiting for the database and repairs.

        Raises:
            SearchError: Optuna is missing, the file is damaged, the database refuses, or the study
                is about other inputs.
            StudyUnreachableError: The database does not answer.
        """
        self._objectives = tuple(objectives)
        self._inputs = dict(inputs)
        self._worker = f"{socket.gethostname()}:{folder}"
        self._storage = StudyStorage(folder, shared, report)
        directions = ["maximize" if each.is_maximized else "minimize" for each in objectives]
        if shared is not None:  # workers with one seed would all propose the same
            seed ^= zlib.crc32(self._worker.encode())
        self._states = self._storage.states
        self._by_recipe: dict[str, TrialRecord] = {}
        self._seen: set[int] = set()
        self._heartbeat: Any = None
        try:
            self._study = self._storage.open_study(directions, seed)
            self._check_inputs()
            if shared is None:
                self._retry_all_running()
        except BaseException:
            self._storage.close()
            raise

    def __enter__(self) -> Study:
        """Return the study."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop reporting that this worker lives."""
        self._stop_heartbeat()
        self._storage.close()

    def ask(self) -> StudyTrial:
        """Begin a trial: one that a dead worker left, or a new one.

        Raises:
            SearchError: The study is about other inputs by now.
            StudyUnreachableError: The database does not answer.
        """
        while True:
            if self._storage.is_shared:
                self._check_inputs()
                self._storage.retry_stale(self._study)
            trial = self._storage.act(self._study.ask)
            values = trial.user_attrs.get(_OUTCOME, {}).get(_VALUES)
            if values is None:
                break
            self._end(trial, None, values)  # its worker died before the last word
        self._heartbeat = self._storage.start_heartbeat(trial)
        self._storage.act(lambda: trial.set_user_attr(_WORKER, self._worker))
        return StudyTrial(trial, self._storage)

    def finish(self, trial: StudyTrial, values: Sequence[float], result: Mapping[str, Any]) -> None:
        """Keep the result of a trial.

        Args:
            trial: The trial.
            values: Value of each objective.
            result: Result as plain data.

        Raises:
            TrialLostError: This worker was silent for so long that another one does the trial.
            StudyUnreachableError: The database does not answer.
        """
        outcome = {_RESULT: dict(result), _VALUES: list(values)}
        self._end(trial.optuna_trial, outcome, values)

    def begin_training(self, latency_ratio: float) -> Training:
        """Begin a training of a trial, which ends early if it falls behind others.

        Args:
            latency_ratio: Latency divided by that of the reference.
        """
        return Training(self._storage, latency_ratio)

    def drop(self, trial: StudyTrial, reason: str, values: Sequence[float] | None = None) -> None:
        """Keep why a trial came to no result; the sampler keeps away from its like.

        Args:
            trial: The trial.
            reason: Words for a person.
            values: Value of each objective where they are known; else the worst ones count.

        Raises:
            TrialLostError: This worker was silent for so long that another one does the trial.
            StudyUnreachableError: The database does not answer.
        """
        values = self._worst if values is None else list(values)
        outcome = {_REASON: reason[:_LONGEST_REASON], _VALUES: values}
        self._end(trial.optuna_trial, outcome, values)

    def repeat(self, trial: StudyTrial, earlier: TrialRecord) -> None:
        """End a trial whose recipe an earlier one had; it does not count."""
        self._end(trial.optuna_trial, None, earlier.values)

    def postpone(self, trial: StudyTrial) -> None:
        """Give a trial up for now; its values are the next to be tried, by any worker."""
        self._stop_heartbeat()
        optuna_trial = trial.optuna_trial
        if not self._storage.is_usable:
            return

        def act() -> None:
            optuna_trial.set_user_attr(_POSTPONED, True)
            if optuna_trial.params:
                self._study.enqueue_trial(optuna_trial.params)
            self._study.tell(optuna_trial, state=self._states.FAIL)

        self._storage.act(act, patience_s=0.0)

    def note_recipe(self, trial: StudyTrial, recipe: str) -> None:
        """Keep the recipe of a trial, by which `known_record` finds it."""
        self._storage.act(lambda: trial.optuna_trial.set_user_attr(_RECIPE, recipe))

    def known_record(self, recipe: str) -> TrialRecord | None:
        """Return the trial of this recipe that ended; None if there is none."""
        self._read_trials()
        return self._by_recipe.get(recipe)

    @property
    def records(self) -> tuple[TrialRecord, ...]:
        """Trials that ended with a result or with a reason, each recipe once."""
        self._read_trials()
        return tuple(sorted(self._by_recipe.values(), key=lambda record: record.number))

    @property
    def finished_count(self) -> int:
        """Number of trials that ended with a result or with a reason, each recipe once."""
        self._read_trials()
        return len(self._by_recipe)

    @property
    def running(self) -> tuple[RunningTrial, ...]:
        """Trials that run now, of all workers."""
        return tuple(
            RunningTrial(
                trial.number,
                str(trial.user_attrs.get(_RECIPE, "")),
                str(trial.user_attrs.get(_WORKER, "")),
            )
            for trial in self._trials(self._states.RUNNING)
        )

    def wait_for_others(self, seconds: float) -> None:
        """Wait a while, and let trials of dead workers be done again."""
        time.sleep(max(0.0, min(seconds, self._storage.heartbeat_s)))
        self._storage.retry_stale(self._study)

    def note(self, name: str) -> Any:
        """Return what `keep_note` kept under a name; None for nothing."""
        return self._storage.act(lambda: self._study.user_attrs).get(name)

    @property
    def notes(self) -> dict[str, Any]:
        """Name of everything that `keep_note` kept to the plain data."""
        return dict(self._storage.act(lambda: self._study.user_attrs))

    def keep_note(self, name: str, value: Any) -> None:
        """Keep plain data with the study."""
        self._storage.act(lambda: self._study.set_user_attr(name, value))

    @property
    def _worst(self) -> list[float]:
        return [objective.worst for objective in self._objectives]

    def _trials(self, *states: Any) -> list[Any]:
        trials: list[Any] = self._storage.act(
            lambda: self._study.get_trials(deepcopy=False, states=states or None)
        )
        return trials

    def _read_trials(self) -> None:
        """Take in the trials that ended since the last time."""
        for trial in self._trials(self._states.COMPLETE, self._states.FAIL):
            if trial.number in self._seen:
                continue
            self._seen.add(trial.number)
            attributes = trial.user_attrs
            recipe = str(attributes.get(_RECIPE, f"trial {trial.number}"))
            outcome = attributes.get(_OUTCOME)
            values = trial.values
            if trial.state == self._states.FAIL:
                deaths = self._storage.death_count(trial)
                if deaths <= self._storage.most_deaths or _POSTPONED in attributes:
                    continue
                outcome = {_REASON: f"given up: the process ended {deaths} times in this trial"}
                values = self._worst
            if outcome is None or recipe in self._by_recipe:
                continue
            self._by_recipe[recipe] = TrialRecord(
                trial.number,
                recipe,
                tuple(values),
                outcome.get(_RESULT),
                str(outcome.get(_REASON, "")),
                str(attributes.get(_WORKER, "")),
            )

    def _end(self, trial: Any, outcome: Mapping[str, Any] | None, values: Sequence[float]) -> None:
        """Write the last word about a trial, once."""

        def act() -> None:
            state = self._storage.state_of(trial)
            if state == self._states.COMPLETE:  # written before the connection broke
                return
            if state != self._states.RUNNING:
                raise TrialLostError
            if outcome is not None:
                trial.set_user_attr(_OUTCOME, dict(outcome))
            self._study.tell(trial, list(values))

        try:
            self._storage.act(act)
        finally:
            self._stop_heartbeat()

    def _stop_heartbeat(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.join()
            self._heartbeat = None

    def _check_inputs(self) -> None:
        earlier = self.note(_INPUTS)
        if earlier is None:
            self.keep_note(_INPUTS, self._inputs)
            return
        others = [name for name, value in self._inputs.items() if earlier.get(name) != value]
        if others:
            raise SearchError(
                f"{self._storage.place}: this study is about {others[0]} "
                f"{earlier.get(others[0])}, not {self._inputs[others[0]]}",
                "Give the model, the data and the board of this study, or begin another one: "
                + ("#NAME behind the URL." if self._storage.is_shared else "choose another --out."),
            )

    def _retry_all_running(self) -> None:
        """No trial of a file runs now: those marked so were left by a process that died."""
        for trial in self._trials(self._states.RUNNING):
            self._storage.retry(self._study, trial)
            self._storage.act(lambda: self._study.tell(trial.number, state=self._states.FAIL))  # noqa: B023
