"""A study of Optuna: its file, its trials, and what they found. The only file that imports it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import ToolkitError
from toolkit.search.objective import Objective

#: Name of the file of a study in the folder of its search.
STUDY_NAME = "study.journal"
_STUDY = "kedge"
_RESULT, _REASON, _RECIPE = "result", "reason", "recipe"


class SearchError(ToolkitError):
    """The search cannot begin or go on; what its trials found is kept."""


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


class StudyTrial:
    """A trial that runs."""

    def __init__(self, trial: Any) -> None:
        """Begin; only `Study.ask` does."""
        self.optuna_trial = trial
        self.number: int = trial.number

    def choose(self, name: str, options: Sequence[Any]) -> Any:
        """Choose one of several values of the parameter `name`."""
        return self.optuna_trial.suggest_categorical(name, list(options))


class Study:
    """Trials of one model, one data set and one board."""

    def __init__(
        self, folder: Path, inputs: Mapping[str, str], seed: int, objectives: Sequence[Objective]
    ) -> None:
        """Open the study of a folder, or begin one.

        Trials that a killed process left are given up, and their values are tried again.

        Args:
            folder: Folder of the search, which nobody else uses.
            inputs: Name of each input to its digest or its name; a study of others is refused.
            seed: Seed of the sampler.
            objectives: Objectives of the trials, in the order of their values.

        Raises:
            SearchError: Optuna is missing, the file is damaged, or it is about other inputs.
        """
        optuna = _import_optuna()
        self._objectives = tuple(objectives)
        path = folder / STUDY_NAME
        lock = optuna.storages.journal.JournalFileOpenLock(str(path))
        # Left by a process that was killed; Optuna would wait 30 s for its owner.
        (folder / f"{STUDY_NAME}.lock").unlink(missing_ok=True)
        backend = optuna.storages.journal.JournalFileBackend(str(path), lock_obj=lock)
        try:
            storage = optuna.storages.JournalStorage(backend)
            self._study = optuna.create_study(
                study_name=_STUDY,
                storage=storage,
                directions=[
                    "maximize" if objective.is_maximized else "minimize" for objective in objectives
                ],
                load_if_exists=True,
                sampler=optuna.samplers.TPESampler(seed=seed),
            )
            attributes = self._study.user_attrs
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            raise SearchError(
                f"{path}: is no study that Optuna can read ({type(error).__name__}: {error})",
                "Move it away to begin anew; front/ and search.json stay as they are.",
            ) from error
        self._states = optuna.trial.TrialState
        self._check_inputs(path, attributes.get("inputs"), inputs)
        self._give_up_stale()

    def ask(self) -> StudyTrial:
        """Begin a trial."""
        return StudyTrial(self._study.ask())

    def finish(self, trial: StudyTrial, values: Sequence[float], result: Mapping[str, Any]) -> None:
        """Keep the result of a trial.

        Args:
            trial: The trial.
            values: Value of each objective.
            result: Result as plain data.
        """
        trial.optuna_trial.set_user_attr(_RESULT, dict(result))
        self._study.tell(trial.optuna_trial, list(values))

    def drop(self, trial: StudyTrial, reason: str) -> None:
        """Keep why a trial came to no result; the sampler keeps away from its like."""
        trial.optuna_trial.set_user_attr(_REASON, reason[:500])
        self._study.tell(trial.optuna_trial, [objective.worst for objective in self._objectives])

    def repeat(self, trial: StudyTrial, earlier: TrialRecord) -> None:
        """End a trial whose recipe an earlier one had; it does not count."""
        self._study.tell(trial.optuna_trial, list(earlier.values))

    def postpone(self, trial: StudyTrial) -> None:
        """Give a trial up for now; its values are the next to be tried."""
        self._study.tell(trial.optuna_trial, state=self._states.FAIL)
        self._study.enqueue_trial(trial.optuna_trial.params)

    def note_recipe(self, trial: StudyTrial, recipe: str) -> None:
        """Keep the recipe of a trial, by which `known_record` finds it."""
        trial.optuna_trial.set_user_attr(_RECIPE, recipe)

    def known_record(self, recipe: str) -> TrialRecord | None:
        """Return the trial of this recipe that ended; None if there is none."""
        return next((record for record in self.records if record.recipe == recipe), None)

    @property
    def records(self) -> tuple[TrialRecord, ...]:
        """Trials that ended with a result or with a reason, each recipe once."""
        records: list[TrialRecord] = []
        for trial in self._study.get_trials(deepcopy=False):
            attributes = trial.user_attrs
            is_first = _RESULT in attributes or _REASON in attributes
            if trial.state == self._states.COMPLETE and is_first:
                records.append(
                    TrialRecord(
                        trial.number,
                        str(attributes.get(_RECIPE, "")),
                        tuple(trial.values),
                        attributes.get(_RESULT),
                        str(attributes.get(_REASON, "")),
                    )
                )
        return tuple(records)

    def note(self, name: str) -> Any:
        """Return what `keep_note` kept under a name; None for nothing."""
        return self._study.user_attrs.get(name)

    def keep_note(self, name: str, value: Any) -> None:
        """Keep plain data with the study."""
        self._study.set_user_attr(name, value)

    def _check_inputs(self, path: Path, earlier: Any, inputs: Mapping[str, str]) -> None:
        if earlier is None:
            self._study.set_user_attr("inputs", dict(inputs))
            return
        others = [name for name, value in inputs.items() if earlier.get(name) != value]
        if others:
            raise SearchError(
                f"{path}: this study is about {others[0]} {earlier.get(others[0])}, not "
                f"{inputs[others[0]]}",
                "Choose another --out, or give the model, the data and the board of this study.",
            )

    def _give_up_stale(self) -> None:
        """No trial runs now: what is marked so was left by a process that was killed."""
        for trial in self._study.get_trials(deepcopy=True):
            if trial.state == self._states.RUNNING:
                self._study.tell(trial.number, state=self._states.FAIL)
                if trial.params:
                    self._study.enqueue_trial(trial.params)


def _import_optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise SearchError(
            "kedge search needs Optuna, which is not installed",
            "Install it: pip install 'kedge[search]'",
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("optuna").propagate = False
    return optuna
