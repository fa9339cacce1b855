"""A study of Optuna: its file, its trials, and what they found. The only file that imports it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from converters.measure import Figure
from toolkit.errors import ToolkitError
from toolkit.search.front import TrialResult

#: Name of the file of a study in the folder of its search.
STUDY_NAME = "study.journal"
_STUDY = "kedge"
_RESULT, _REASON, _RECIPE = "result", "reason", "recipe"
#: Values of a trial without a result: accuracy, and latency divided by that of the reference.
_WORST = [0.0, 100.0]


class SearchError(ToolkitError):
    """The search cannot begin or go on; what its trials found is kept."""


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

    def __init__(self, folder: Path, inputs: Mapping[str, str], seed: int) -> None:
        """Open the study of a folder, or begin one.

        Trials that a killed process left are given up, and their values are tried again.

        Args:
            folder: Folder of the search, which nobody else uses.
            inputs: Name of each input to its digest or its name; a study of others is refused.
            seed: Seed of the sampler.

        Raises:
            SearchError: Optuna is missing, the file is damaged, or it is about other inputs.
        """
        optuna = _import_optuna()
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
                directions=["maximize", "minimize"],
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

    def finish(self, trial: StudyTrial, result: TrialResult) -> None:
        """Keep the result of a trial."""
        trial.optuna_trial.set_user_attr(_RESULT, asdict(result))
        values = [result.accuracy.value, result.latency_ratio.value]
        self._study.tell(trial.optuna_trial, values)

    def drop(self, trial: StudyTrial, reason: str) -> None:
        """Keep why a trial came to no result; the sampler keeps away from its like."""
        trial.optuna_trial.set_user_attr(_REASON, reason[:500])
        self._study.tell(trial.optuna_trial, _WORST)

    def repeat(self, trial: StudyTrial, earlier: TrialResult | str) -> None:
        """End a trial whose recipe an earlier one had; it does not count.

        Args:
            trial: The trial.
            earlier: Answer of `known_result`.
        """
        if isinstance(earlier, TrialResult):
            self.finish(trial, earlier)
        else:
            self._study.tell(trial.optuna_trial, _WORST)

    def postpone(self, trial: StudyTrial) -> None:
        """Give a trial up for now; its values are the next to be tried."""
        self._study.tell(trial.optuna_trial, state=self._states.FAIL)
        self._study.enqueue_trial(trial.optuna_trial.params)

    def note_recipe(self, trial: StudyTrial, recipe: str) -> None:
        """Keep the recipe of a trial, by which `known_result` finds its result."""
        trial.optuna_trial.set_user_attr(_RECIPE, recipe)

    def known_result(self, recipe: str) -> TrialResult | str | None:
        """Return what an earlier trial of the recipe came to: a result, a reason, or None."""
        for trial in reversed(self._study.get_trials(deepcopy=False)):
            if trial.user_attrs.get(_RECIPE) == recipe and trial.state.is_finished():
                if _RESULT in trial.user_attrs:
                    return _result(trial.user_attrs[_RESULT])
                if _REASON in trial.user_attrs:
                    return str(trial.user_attrs[_REASON])
        return None

    @property
    def results(self) -> tuple[TrialResult, ...]:
        """Results of all trials that came to one, each recipe once."""
        plain = [
            trial.user_attrs[_RESULT]
            for trial in self._study.get_trials(deepcopy=False)
            if _RESULT in trial.user_attrs and trial.state == self._states.COMPLETE
        ]
        by_number = {result["number"]: _result(result) for result in plain}
        return tuple(by_number.values())

    @property
    def reasons(self) -> dict[int, str]:
        """Number of each trial without a result to the reason."""
        return {
            trial.number: str(trial.user_attrs[_REASON])
            for trial in self._study.get_trials(deepcopy=False)
            if trial.state == self._states.COMPLETE and _REASON in trial.user_attrs
        }

    @property
    def finished_count(self) -> int:
        """Number of trials that ended, with a result or without."""
        return len(self.results) + len(self.reasons)

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


def _result(plain: Mapping[str, Any]) -> TrialResult:
    intervals = {name: Figure(**plain[name]) for name in ("accuracy", "latency_ratio")}
    return TrialResult(**{**plain, **intervals})


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
