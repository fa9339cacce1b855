"""Storages of Optuna: a file or a PostgreSQL database. The only file that imports Optuna.

A database may stop to answer for a while; what a worker does then waits, and is tried again.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from converters.durable import translate_errors
from toolkit.search.journal import reconstruct_journal
from toolkit.search.shared_study import SharedStudy
from toolkit.search.study_errors import SearchError, StudyUnreachableError, TrialLostError

_LOG = logging.getLogger(__name__)

#: Name of the file of a study in the folder of its search.
STUDY_NAME = "study.journal"
_STUDY = "kedge"
#: Number of processes that may end in one trial until it is given up: it may take all the memory.
_MOST_DEATHS = 4
#: Epoch after which a training may first end early, and the share of trainings, as 1 in so many,
#: that goes on then, and after twice, four times … as many epochs.
_FIRST_RUNG, _REDUCTION = 2, 2
_PAUSE_S = 2.0
_CONNECT_TIMEOUT_S = 10
_LONGEST_MESSAGE = 300
#: Number of attempts to open a database while other workers make its tables at the same moment.
_OPEN_ATTEMPTS = 4
#: Trials of a worker that died before its first heartbeat get one, so that they can become stale.
_FIRST_HEARTBEATS = """
    INSERT INTO trial_heartbeats (trial_id, heartbeat)
    SELECT trial_id, now() FROM trials
    WHERE state = 'RUNNING' AND trial_id NOT IN (SELECT trial_id FROM trial_heartbeats)
    ON CONFLICT DO NOTHING
"""

T = TypeVar("T")


class StudyStorage:
    """Storage of one study, and what is done when it fails."""

    most_deaths = _MOST_DEATHS

    def __init__(
        self, folder: Path, shared: SharedStudy | None, report: Callable[[str], None]
    ) -> None:
        """Begin; nothing is opened yet.

        Args:
            folder: Folder of the search.
            shared: Database of the study; None for a file in `folder`.
            report: Function that gets sentences about waiting for the database and repairs.

        Raises:
            SearchError: Optuna is not installed.
        """
        self._optuna, self._sqlalchemy = _import_optuna()
        self._folder, self._shared, self._report = folder, shared, report
        self._backend: Any = None
        self.states: Any = self._optuna.trial.TrialState
        #: Whether something may still be written; a file on a full disk has half a line.
        self.is_usable = True
        self.heartbeat_s = _PAUSE_S if shared is None else float(shared.heartbeat_s)
        self.place = str(folder / STUDY_NAME) if shared is None else shared.public_url

    @property
    def is_shared(self) -> bool:
        """Whether other workers may use the study at the same time."""
        return self._shared is not None

    def open_study(self, directions: Sequence[str], seed: int) -> Any:
        """Open the study, or begin it.

        Args:
            directions: "maximize" or "minimize" for each objective.
            seed: Seed of the sampler.

        Returns:
            Study of Optuna.

        Raises:
            SearchError: The file is damaged, or the database refuses.
            StudyUnreachableError: The database does not answer.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self._shared is None:
                study = self._open_file(directions)
            else:
                study = self._open_database(self._shared, directions)
            # One that goes on must not propose what it did at its beginning.
            study.sampler = self._make_sampler(seed + len(study.get_trials(deepcopy=False)))
            return study

    def open_epochs(self, name: str) -> Any:
        """Open a study of the trainings of one kind of trials, or begin it.

        Args:
            name: Name of the kind.

        Returns:
            Study of Optuna whose trials report the accuracy after each epoch.
        """
        halving = self._optuna.pruners.SuccessiveHalvingPruner(_FIRST_RUNG, _REDUCTION)
        own = _STUDY if self._shared is None else self._shared.name
        return self.act(
            lambda: self._optuna.create_study(
                study_name=f"{own} epochs {name}",
                storage=self._backend,
                direction="maximize",
                load_if_exists=True,
                sampler=self._optuna.samplers.RandomSampler(),
                pruner=halving,
            ),
            patience_s=0.0,
        )

    def act(self, action: Callable[[], T], patience_s: float | None = None) -> T:
        """Do something with the study; wait for a database that does not answer.

        Args:
            action: Function that may be repeated.
            patience_s: Longest time to wait, seconds; that of the shared study without it.

        Raises:
            StudyUnreachableError: The database does not answer.
            SearchError: The database refuses.
            TrialLostError: Another worker does the trial.
            HostDiskError: The disk is full or read-only.
        """
        patience = self._shared.patience_s if self._shared is not None else 0.0
        ends = time.monotonic() + (patience if patience_s is None else patience_s)
        is_reported = False
        while True:
            try:
                with warnings.catch_warnings(), translate_errors(self._folder / STUDY_NAME):
                    warnings.simplefilter("ignore")
                    return action()
            except self._optuna.exceptions.UpdateFinishedTrialError as error:
                raise TrialLostError from error
            except self._database_errors as error:
                outage = self._translate(error)
                left = ends - time.monotonic()
                if not isinstance(outage, StudyUnreachableError) or left <= 0:
                    raise outage from error
            except Exception:
                self.is_usable = self.is_shared
                raise
            if not is_reported:
                self._report(f"{outage}: waiting for it, {round(left)} s at most")
                is_reported = True
            time.sleep(min(_PAUSE_S, max(0.0, left)))

    def start_heartbeat(self, trial: Any) -> Any:
        """Report from now on that this worker lives; None where nobody listens.

        Args:
            trial: Trial of Optuna that the worker does.

        Returns:
            Thread with the method `join`.
        """
        if self._shared is None:
            return None
        from optuna.storages._heartbeat import get_heartbeat_thread

        thread = get_heartbeat_thread(trial._trial_id, self._backend)
        thread.start()
        return thread

    def retry_stale(self, study: Any) -> None:
        """Let trials of workers that are silent be done again."""
        if self._shared is None:
            return

        def act() -> None:
            with self._backend.engine.begin() as connection:
                connection.execute(self._sqlalchemy.text(_FIRST_HEARTBEATS))
            self._optuna.storages.fail_stale_trials(study)

        self.act(act)

    def retry(self, study: Any, trial: Any) -> None:
        """Let a trial be done again by whoever asks next, unless it ended too many processes."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            again = self._optuna.storages.RetryHeartbeatStaleTrialCallback(_MOST_DEATHS)
        self.act(lambda: again(study, copy.deepcopy(trial)))  # it appends to the trial's history

    def state_of(self, trial: Any) -> Any:
        """Return the state of a trial in the storage, which another worker may have changed."""
        return trial.storage.get_trial(trial._trial_id).state

    @staticmethod
    def death_count(trial: Any) -> int:
        """Return how many processes ended in a trial that failed, this time included."""
        return len(trial.system_attrs.get("retry_history", ())) + 1

    def close(self) -> None:
        """Close the connections."""
        if self._shared is not None and self._backend is not None:
            with contextlib.suppress(self._sqlalchemy.exc.SQLAlchemyError):
                self._backend.remove_session()
                self._backend.engine.dispose()

    @property
    def _database_errors(self) -> tuple[type[Exception], ...]:
        return (
            self._optuna.exceptions.StorageInternalError,
            self._sqlalchemy.exc.SQLAlchemyError,
        )

    def _open_file(self, directions: Sequence[str]) -> Any:
        path = self._folder / STUDY_NAME
        with translate_errors(path):
            if reconstruct_journal(path):
                self._report(f"{path}: the last lines were cut off, and were removed")
            # Left by a process that was killed; Optuna would wait 30 s for its owner.
            path.with_name(f"{STUDY_NAME}.lock").unlink(missing_ok=True)
        journal = self._optuna.storages.journal
        try:
            lock = journal.JournalFileOpenLock(str(path))
            backend = journal.JournalFileBackend(str(path), lock_obj=lock)
            self._backend = self._optuna.storages.JournalStorage(backend)
            return self._create(self._backend, _STUDY, directions)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SearchError(
                f"{path}: is no study that Optuna can read ({type(error).__name__}: {error})",
                "Move it away to begin anew; front/ and search.json stay as they are.",
            ) from error

    def _open_database(self, shared: SharedStudy, directions: Sequence[str]) -> Any:
        for attempt in range(_OPEN_ATTEMPTS):
            try:
                self._backend = self._make_backend(shared)
                return self._create(self._backend, shared.name, directions)
            except ImportError as error:
                raise SearchError(
                    "a study in PostgreSQL needs psycopg, which is not installed",
                    "Install it: pip install 'kedge[search]'",
                ) from error
            except self._database_errors as error:
                refusal = self._translate(error)
                is_final = isinstance(refusal, StudyUnreachableError) or refusal.hint != _UNKNOWN
                if is_final or attempt + 1 == _OPEN_ATTEMPTS:
                    raise refusal from error
                self.close()
                time.sleep(0.2 * (attempt + 1))
            except (ValueError, RuntimeError) as error:
                raise SearchError(
                    f"{shared.public_url}: {shared.hide_password(str(error))}",
                    "Use one version of Optuna on all machines, or another database.",
                ) from error
        raise AssertionError

    def _make_backend(self, shared: SharedStudy) -> Any:
        class PatientStorage(self._optuna.storages.RDBStorage):  # type: ignore[misc, name-defined]
            """A storage whose heartbeat outlasts a database that does not answer."""

            def record_heartbeat(storage, trial_id: int) -> None:  # noqa: N805
                try:
                    super().record_heartbeat(trial_id)
                except self._database_errors as error:
                    _LOG.debug("no heartbeat: %s", type(error).__name__)

        return PatientStorage(
            shared.url.replace("postgresql://", "postgresql+psycopg://", 1),
            engine_kwargs={
                "pool_pre_ping": True,
                "connect_args": {
                    "connect_timeout": _CONNECT_TIMEOUT_S,
                    "keepalives_idle": 30,
                    "keepalives_interval": 10,
                    "keepalives_count": 3,
                    "tcp_user_timeout": 60_000,
                    # Optuna compares times without a zone.
                    "options": "-c timezone=UTC",
                    "application_name": "kedge search",
                },
            },
            heartbeat_interval=shared.heartbeat_s,
            grace_period=shared.grace_s,
            heartbeat_stale_trial_callback=(
                self._optuna.storages.RetryHeartbeatStaleTrialCallback(_MOST_DEATHS)
            ),
        )

    def _create(self, storage: Any, name: str, directions: Sequence[str]) -> Any:
        return self._optuna.create_study(
            study_name=name,
            storage=storage,
            directions=list(directions),
            load_if_exists=True,
        )

    def _make_sampler(self, seed: int) -> Any:
        """Sampler that looks at all trials once for each group of parameters, not for each one."""
        return self._optuna.samplers.TPESampler(
            seed=seed % 2**32,
            multivariate=True,
            group=True,
            warn_independent_sampling=False,
            constant_liar=self.is_shared,
        )

    def _translate(self, error: Exception) -> SearchError:
        """Error of the database in our words: an outage, or a refusal."""
        assert self._shared is not None
        errors = self._sqlalchemy.exc
        cause = error if isinstance(error, errors.SQLAlchemyError) else error.__cause__
        original = getattr(cause, "orig", None) or cause or error
        words = " ".join(self._shared.hide_password(str(original)).split())
        words = "".join(each for each in words if each.isprintable())[:_LONGEST_MESSAGE]
        outages = (errors.OperationalError, errors.InterfaceError, errors.InternalError)
        message = f"{self._shared.public_url}: {words}"
        refusal = next((hint for sign, hint in _REFUSALS.items() if sign in words), None)
        if refusal is not None:
            return SearchError(message, refusal)
        if isinstance(cause, outages) or getattr(cause, "connection_invalidated", False):
            return StudyUnreachableError(
                message,
                "Start the server or mend the way to it; then the same command goes on.",
            )
        return SearchError(message, _UNKNOWN)


_UNKNOWN = "See what the server's log says about it."
#: Part of a message of the server to the next step.
_REFUSALS = {
    "password authentication failed": "Give the password in PGPASSWORD, in ~/.pgpass or in the "
    "URL; special characters in a URL are written as %XX.",
    "no password supplied": "Give the password in PGPASSWORD, in ~/.pgpass or in the URL.",
    "does not exist": "Make it on the server: createuser, createdb.",
    "no pg_hba.conf entry": "Allow this machine in the server's pg_hba.conf.",
    "permission denied": "Let the user make tables: GRANT CREATE, USAGE ON SCHEMA public.",
}


def _import_optuna() -> tuple[Any, Any]:
    try:
        import optuna
        import sqlalchemy
        import sqlalchemy.exc
    except ImportError as error:
        raise SearchError(
            "kedge search needs Optuna, which is not installed",
            "Install it: pip install 'kedge[search]'",
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("optuna").propagate = False
    return optuna, sqlalchemy
