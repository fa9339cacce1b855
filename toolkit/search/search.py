"""The search: trials until the time or their number is used up, and the front at the end."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from converters.digest import sha256_of
from converters.errors import ConversionError
from converters.evidence.conversion import read_conversion
from converters.out_folder import hold_folder
from converters.progress import Progress
from toolkit.search.boards import Boards
from toolkit.search.events import BEGIN, DROP, NOTE, RESULT, SearchEvent, Watch, watch_nothing
from toolkit.search.front import (
    TrialResult,
    load_result,
    objective_values,
    pareto_front,
    plain_trial_result,
    select_comparable,
)
from toolkit.search.kept_command import write_command
from toolkit.search.objective import ENERGY, OBJECTIVES
from toolkit.search.outcome import (
    BoardState,
    Effort,
    SearchOutcome,
    SearchSettings,
    copy_front,
    is_on_disk,
    write_outcome,
)
from toolkit.search.space import MOVES, PLAIN_STEP, Candidate, propose, recipe_name, recipe_text
from toolkit.search.study import Study, StudyTrial
from toolkit.search.study_errors import SearchError, TrialLostError
from toolkit.search.trial_run import (
    TooSlowError,
    TrialDroppedError,
    TrialHopelessError,
    TrialTools,
    convert_reference,
    file_of,
    original_accuracy,
    run_trial,
)

#: Number of proposals in turn that are all known, after which the space counts as used up.
_MOST_REPEATS = 200
#: Share of the MACs that a move leaves where it is only tried.
_GENTLE = 0.9
#: Name of the note about the fastest structure of those that were too slow.
_FASTEST = "fastest structure that is too slow"
#: Shortest time between two writes of search.json while trials run, seconds.
_WRITE_INTERVAL_S = 1.0


def search(
    settings: SearchSettings, tools: TrialTools, watch: Watch = watch_nothing
) -> SearchOutcome:
    """Search, or go on with the search in the folder; every trial that ended is kept.

    Args:
        settings: Limits, and the database where other machines share the study.
        tools: Converter and board of the trials; `tools.request.out` is the folder.
        watch: Function that gets what happens.

    Returns:
        The front, which is also in `search.json` and in `front/`.

    Raises:
        SearchError: The study is about something else, the task is no classification, or the board
            is disturbed. The same command goes on.
        StudyUnreachableError: The database was lost. The same command goes on.
        ConversionError: The model or the data is refused.
        TargetError: The board was lost. The same command goes on.
    """
    folder = tools.request.out

    def report(words: str) -> None:
        watch(SearchEvent(NOTE, words))

    with (
        hold_folder(folder),
        Study(
            folder,
            _inputs(settings, tools),
            tools.request.seed,
            [OBJECTIVES[name] for name in settings.objectives],
            settings.shared,
            report,
        ) as study,
    ):
        write_command(folder, settings.options)
        run = _Run(study, settings, tools, watch)
        try:
            run.do_trials()
        finally:
            run.write()
        return run.end()


class _Run:
    """One run of a search."""

    def __init__(
        self, study: Study, settings: SearchSettings, tools: TrialTools, watch: Watch
    ) -> None:
        """Convert the reference, and find out which moves the model can go through."""
        self._study, self._settings, self._tools, self._watch = study, settings, tools, watch
        self._began = time.monotonic()
        self._work_s, self._wait_s = 0.0, 0.0
        self._results: dict[int, TrialResult] = {}
        self._written_at = float("-inf")
        self._fastest: dict[str, Any] | None = study.note(_FASTEST)
        self._boards = Boards(tools.measure, study, lambda words: watch(SearchEvent(NOTE, words)))
        with self._working():
            self._reference = convert_reference(tools, self._boards)
            conversion = read_conversion(tools.request.out / self._reference.folder)
            self._original = original_accuracy(conversion)
            _check_energy(self._reference, settings)
            self._refusals = _refused_moves(study, tools)

    def do_trials(self) -> None:
        """Do trials until the time, their number or the space is used up."""
        study, settings = self._study, self._settings
        ends = self._began + settings.duration_s
        repeats, is_waiting = 0, False
        while time.monotonic() < ends and study.finished_count < settings.trials:
            others = len(study.running) if settings.shared else 0
            if study.finished_count + others >= settings.trials:
                if not is_waiting:
                    self._tell(NOTE, f"waiting for {others} trials of other workers")
                is_waiting = True
                began = time.monotonic()
                study.wait_for_others(ends - began)
                self._wait_s += time.monotonic() - began
                continue
            is_waiting = False
            repeats = 0 if self._do_trial() else repeats + 1
            if repeats == _MOST_REPEATS:
                self._tell(NOTE, "all that the moves can make of this model was tried")
                return

    def outcome(self) -> SearchOutcome:
        """Return what the search came to so far."""
        records = self._study.records
        for record in records:
            if record.result is not None and record.number not in self._results:
                self._results[record.number] = load_result(record.result)
        names = self._boards.names
        objectives = self._settings.objectives
        reference, *results = map(self._boards.complete, [self._reference, *self._results.values()])
        comparable = select_comparable([reference, *results], reference.boards)
        front = pareto_front(comparable, objectives)
        fronts = {
            name: pareto_front([reference, *results], objectives, name)
            for name in names
            if len(names) > 1
        }
        numbers = {result.number for each in (front, *fronts.values()) for result in each}
        elsewhere = {
            record.result["number"]: record
            for record in records
            if record.result is not None
            and record.result["number"] in numbers
            and not is_on_disk(self._tools.request.out, record.result["folder"])
        }
        elapsed = time.monotonic() - self._began
        return SearchOutcome(
            self._original,
            reference,
            front,
            fronts,
            {
                name: BoardState(
                    str(pause.error) if (pause := self._boards.pauses.get(name)) else "",
                    sum(name not in result.boards for result in (reference, *results)),
                )
                for name in names
            },
            self._tools.max_latency_us,
            self._fastest,
            len(records),
            {record.number: record.reason for record in records if record.reason},
            self._refusals,
            elsewhere,
            self._study.running,
            Effort(elapsed, self._work_s, self._wait_s),
        )

    def write(self) -> None:
        """Write search.json."""
        write_outcome(self._tools.request.out, self.outcome(), self._settings)
        self._written_at = time.monotonic()

    def end(self) -> SearchOutcome:
        """Measure what boards missed and the fronts, judge these, and copy their files."""
        folder = self._tools.request.out
        with self._working():
            self._measure_missing(is_end=True)
            self._measure_fronts()
            self._judge_fronts()
        final = self.outcome()
        copy_front(folder, final)
        final = replace(final, effort=self.outcome().effort)
        write_outcome(folder, final, self._settings)
        return final

    def _do_trial(self) -> bool:
        """Do one trial; return whether it was new."""
        study, trial = self._study, self._study.ask()
        try:
            candidate = propose(trial, set(MOVES) - set(self._refusals), self._settings.epochs)
            earlier = study.known_record(candidate.recipe)
            study.note_recipe(trial, candidate.recipe)
            if earlier is not None:
                study.repeat(trial, earlier)
                return False
            self._run_trial(trial, candidate)
        except TrialLostError:
            words = "this worker was silent for too long; another one does the trial"
            self._tell(NOTE, f"trial {trial.number}: {words}")
        except BaseException:
            with contextlib.suppress(SearchError, ConversionError, TrialLostError):
                study.postpone(trial)
            raise
        return True

    def _run_trial(self, trial: StudyTrial, candidate: Candidate) -> None:
        name = recipe_name(candidate.recipe)
        self._tell(BEGIN, f"trial {trial.number}: {name}", trial.number, name)
        if time.monotonic() - self._written_at > _WRITE_INTERVAL_S:
            self.write()
        try:
            with self._working():
                result = run_trial(
                    trial.number,
                    candidate,
                    self._reference,
                    self._tools,
                    self._boards,
                    self._study.begin_training,
                )
        except TrialDroppedError as error:
            known = None
            if isinstance(error, TooSlowError):
                self._note_fastest(trial.number, name, error.latency_us)
            elif isinstance(error, TrialHopelessError):
                known = objective_values(error.result, self._settings.objectives)
            self._study.drop(trial, str(error), known)
            self._tell(DROP, f"trial {trial.number}: {error}", trial.number, name)
            return
        values = objective_values(result, self._settings.objectives)
        self._study.finish(trial, values, plain_trial_result(result))
        words = (
            f"trial {trial.number}: {result.recipe}: {result.accuracy.value:.2%} of the validation "
            f"samples, {result.latency_ratio.value:.2f} times the latency of plain int8"
        )
        self._tell(RESULT, words, trial.number, name)
        with self._working():
            self._measure_missing(is_end=False)

    def _note_fastest(self, number: int, recipe: str, latency_us: float) -> None:
        """Keep the fastest structure of those that were too slow."""
        if self._fastest is None or latency_us < self._fastest["latency_us"]:
            self._fastest = {"number": number, "recipe": recipe, "latency_us": latency_us}
            self._study.keep_note(_FASTEST, self._fastest)

    def _tell(self, kind: str, words: str, number: int = -1, recipe: str = "") -> None:
        self._watch(SearchEvent(kind, words, number, recipe, self.outcome()))

    @contextlib.contextmanager
    def _working(self) -> Iterator[None]:
        """Count the time of the block as training and measuring."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._work_s += time.monotonic() - began

    def _measure_missing(self, is_end: bool) -> None:
        """Measure what boards missed, once they answer again."""
        if len(self._boards.names) == 1:
            return
        self.outcome()
        results = [self._reference, *self._results.values()]
        self._boards.measure_missing(
            file_of(self._reference, self._tools),
            self._files_of(results),
            {result.sha256: (result.sha256, result.structure_sha256) for result in results},
            is_end,
        )

    def _measure_fronts(self) -> None:
        """Measure all fronts in one run: single trials were measured at different times."""
        outcome = self.outcome()
        results = {
            result.number: result
            for front in (outcome.front, *outcome.fronts.values())
            for result in front
        }
        self._tools.report(Progress("measure the front", 0, 0))
        files = self._files_of(list(results.values()))
        self._boards.measure_missing(
            file_of(self._reference, self._tools), files, {each: (each,) for each in files}, True
        )

    def _judge_fronts(self) -> None:
        """Judge the reference and the models of all fronts on the test samples, each once."""
        outcome = self.outcome()
        folders = {self._reference.folder} | {
            result.folder
            for front in (outcome.front, *outcome.fronts.values())
            for result in front
            if is_on_disk(self._tools.request.out, result.folder)
        }
        requests = [self._tools.request_of(folder) for folder in sorted(folders)]
        self._tools.judge(requests, self._tools.report)

    def _files_of(self, results: Sequence[TrialResult]) -> dict[str, Path]:
        """Digest of each file that this machine has to its path."""
        folder = self._tools.request.out
        return {
            result.sha256: file_of(result, self._tools)
            for result in results
            if is_on_disk(folder, result.folder)
        }


def _check_energy(reference: TrialResult, settings: SearchSettings) -> None:
    without = [name for name, figures in reference.boards.items() if figures.energy_uj is None]
    if ENERGY in settings.objectives and without:
        raise SearchError(
            f"--objective energy: {without[0]} has no sensor of its power that kedge reads",
            "Leave energy out; kedge bench says which sensors it found.",
        )


def _refused_moves(study: Study, tools: TrialTools) -> dict[str, str]:
    """Try each move alone, untrained, so that no trial is spent on what the model cannot do."""
    refusals = study.note("refused moves")
    if refusals is not None:
        return dict(refusals)
    refusals = {}
    for number, move in enumerate(MOVES):
        tools.report(Progress(f"try {move}", number, len(MOVES)))
        recipe = recipe_text([{"kind": move, "macs_ratio": _GENTLE}, PLAIN_STEP])
        try:
            tools.convert_by(recipe, f"moves/{move}", f"try {move}")
        except TrialDroppedError as error:
            refusals[move] = str(error)
    study.keep_note("refused moves", refusals)
    shutil.rmtree(tools.request.out / "moves", ignore_errors=True)
    return refusals


def _inputs(settings: SearchSettings, tools: TrialTools) -> dict[str, str]:
    request = tools.request
    inputs = {
        "the board": settings.place,
        "the number of epochs": str(settings.epochs),
        "the objectives": ",".join(settings.objectives),
    }
    for name, path in (("the model", request.model), ("the data", request.data)):
        inputs[name] = sha256_of(path)[:16] if path.exists() else str(path)
    return inputs
