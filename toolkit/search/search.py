"""The search: trials until the time or their number is used up, and the front at the end."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from converters.digest import sha256_of
from converters.evidence.conversion import read_conversion
from converters.out_folder import hold_folder
from converters.progress import Progress
from toolkit.search.front import (
    OBJECTIVES,
    TrialResult,
    load_result,
    objective_values,
    pareto_front,
    plain_trial_result,
)
from toolkit.search.outcome import SearchOutcome, SearchSettings, copy_front, write_outcome
from toolkit.search.space import MOVES, PLAIN_STEP, propose, recipe_text
from toolkit.search.study import SearchError, Study, StudyTrial
from toolkit.search.trial_run import (
    BoardDisturbedError,
    TrialDroppedError,
    TrialTools,
    convert_reference,
    measure_all,
    original_accuracy,
    run_trial,
)

#: Number of proposals in turn that are all known, after which the space counts as used up.
_MOST_REPEATS = 200
#: Number of files of a front that are measured in one run.
_MOST_IN_TURN = 12
#: Share of the MACs that a move leaves where it is only tried.
_GENTLE = 0.9


#: Receives what is known after each trial: the front, and what became of the last trial.
OnTrial = Callable[[SearchOutcome, str], None]


def search(
    settings: SearchSettings, tools: TrialTools, on_trial: OnTrial = lambda *_: None
) -> SearchOutcome:
    """Search, or go on with the search in the folder; every trial that ended is kept.

    Args:
        settings: Limits.
        tools: Converter and board of the trials; `tools.request.out` is the folder.
        on_trial: Called after each trial.

    Returns:
        The front, which is also in `search.json` and in `front/`.

    Raises:
        SearchError: The folder has a study about something else, the task is no classification, or
            the board is disturbed. The same command goes on.
        ConversionError: The model or the data is refused.
        TargetError: The board was lost. The same command goes on.
    """
    folder = tools.request.out
    ends = time.monotonic() + settings.duration_s
    with hold_folder(folder):
        study = Study(folder, _inputs(settings, tools), tools.request.seed, OBJECTIVES)
        with _explain_disturbance(settings):
            reference = convert_reference(tools)
        original = original_accuracy(read_conversion(folder / reference.folder))
        refusals = _refused_moves(study, tools)
        repeats = 0

        def outcome() -> SearchOutcome:
            records = study.records
            results = [load_result(record.result) for record in records if record.result]
            reasons = {record.number: record.reason for record in records if record.reason}
            front = pareto_front([reference, *results])
            return SearchOutcome(original, reference, front, len(records), reasons, refusals)

        try:
            while time.monotonic() < ends and len(study.records) < settings.trials:
                words = _do_trial(study, reference, tools, settings, set(MOVES) - set(refusals))
                repeats = 0 if words else repeats + 1
                if words:
                    on_trial(outcome(), words)
                if repeats == _MOST_REPEATS:
                    break
        finally:
            write_outcome(folder, outcome(), settings)
        final = _measure_front(outcome(), tools)
        copy_front(folder, final.front)
        write_outcome(folder, final, settings)
        return final


def _do_trial(
    study: Study,
    reference: TrialResult,
    tools: TrialTools,
    settings: SearchSettings,
    moves: set[str],
) -> str:
    """Do one trial; return what became of it, or "" where an earlier trial was the same."""
    trial: StudyTrial = study.ask()
    candidate = propose(trial, moves, settings.epochs)
    earlier = study.known_record(candidate.recipe)
    study.note_recipe(trial, candidate.recipe)
    if earlier is not None:
        study.repeat(trial, earlier)
        return ""
    try:
        with _explain_disturbance(settings):
            result = run_trial(trial.number, candidate, reference, tools)
    except TrialDroppedError as error:
        study.drop(trial, str(error))
        return f"trial {trial.number}: {error}"
    except SearchError:
        study.postpone(trial)
        raise
    study.finish(trial, objective_values(result), plain_trial_result(result))
    return (
        f"trial {trial.number}: {result.recipe}: {result.accuracy.value:.2%} of the validation "
        f"samples, {result.latency_ratio.value:.2f} times the latency of plain int8"
    )


@contextmanager
def _explain_disturbance(settings: SearchSettings) -> Iterator[None]:
    try:
        yield
    except BoardDisturbedError as error:
        raise SearchError(
            f"{settings.place} gives no latency that can be trusted: {error}",
            "Calm the board (kedge target check says how); the same command goes on.",
        ) from error


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
    inputs = {"the board": settings.place, "the number of epochs": str(settings.epochs)}
    for name, path in (("the model", request.model), ("the data", request.data)):
        inputs[name] = sha256_of(path)[:16] if path.exists() else str(path)
    return inputs


def _measure_front(outcome: SearchOutcome, tools: TrialTools) -> SearchOutcome:
    """Measure the whole front in one run: single trials were measured at different times."""
    results = [result for result in outcome.front if result.number != outcome.reference.number]
    fresh: list[TrialResult] = []
    for start in range(0, len(results), _MOST_IN_TURN):
        tools.report(Progress("measure the front", start, len(results)))
        fresh += measure_all(results[start : start + _MOST_IN_TURN], outcome.reference, tools)
    return replace(outcome, front=pareto_front([outcome.reference, *fresh]))
