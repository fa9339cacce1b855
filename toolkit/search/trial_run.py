"""One trial: its structure is measured on the board first, and what is fast enough is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from converters import durable
from converters.errors import ConversionError
from converters.evidence.conversion import Conversion
from converters.judge.score import FILE, ORIGINAL
from converters.measure import Figure, FileFigures, FileRefusal, Measure
from converters.progress import Progress, Report
from converters.request import ConversionRequest
from toolkit.search.front import BoardFigures, TrialResult
from toolkit.search.space import REFERENCE, Candidate
from toolkit.search.study_errors import SearchError

#: Name of the recipe in the folder of each trial.
RECIPE_NAME = "recipe.toml"
_VALIDATION = "validation"
#: Number of measurements of a file until the board counts as disturbed.
_MOST_MEASUREMENTS = 3

#: `converters.process.convert`, or what stands in its place in a test.
Convert = Callable[[ConversionRequest, Report], Conversion]


class TrialDroppedError(Exception):
    """A trial comes to no result: its recipe was refused, or the structure is too slow."""

    def __init__(self, message: str, hint: str = "") -> None:
        """Make an error with the hint of what was refused."""
        super().__init__(message)
        self.hint = hint


class BoardDisturbedError(Exception):
    """The board gives no figures that can be trusted now: the trial is to be done again."""


@dataclass(frozen=True)
class TrialTools:
    """What a trial works with."""

    request: ConversionRequest
    """Model, data and seed; `out` is the folder of the search."""
    convert: Convert
    """Converts a model."""
    measure: Mapping[str, Measure]
    """Name of each board to what measures files in turn on it; at least one board."""
    max_latency_ratio: float
    """Largest latency divided by that of the reference with which a structure is trained."""
    report: Report
    """Function that gets the progress."""

    def convert_by(self, recipe: str, folder: str, stage: str) -> Conversion:
        """Convert by a recipe.

        Args:
            recipe: The recipe as TOML.
            folder: Folder below that of the search.
            stage: Words for the progress.

        Raises:
            TrialDroppedError: The recipe or the model is refused.
            ConversionError: Nothing can be converted now, such as with a full disk.
        """
        out = self.request.out / folder
        out.mkdir(parents=True, exist_ok=True)
        durable.write(out / RECIPE_NAME, recipe.encode())
        request = replace(self.request, recipe=str(out / RECIPE_NAME), out=out)

        def report(progress: Progress) -> None:
            self.report(replace(progress, stage=f"{stage}: {progress.stage}"))

        try:
            return self.convert(request, report)
        except ConversionError as error:
            if error.exit_code != ConversionError.exit_code:  # not about this recipe
                raise
            raise TrialDroppedError(str(error), error.hint) from error


def convert_reference(tools: TrialTools) -> TrialResult:
    """Convert the original by plain quantization: the reference of all trials.

    Raises:
        ConversionError: The model or the data is refused.
        SearchError: The task is no classification.
    """
    try:
        conversion = tools.convert_by(REFERENCE.recipe, "reference", "reference")
    except TrialDroppedError as error:
        raise ConversionError(str(error), error.hint) from error
    return _result(-1, conversion, measure_reference(conversion.model, tools), tools)


def original_accuracy(conversion: Conversion) -> Figure:
    """Return the accuracy of the original model on the validation samples, 0-1.

    Raises:
        SearchError: The task is no classification.
    """
    return _accuracy(conversion, ORIGINAL)


def run_trial(
    number: int, candidate: Candidate, reference: TrialResult, tools: TrialTools
) -> TrialResult:
    """Do a trial.

    Args:
        number: Number of the trial.
        candidate: Structure and training that it chose.
        reference: Reference, whose file is measured beside each structure.
        tools: Converter, board and limits.

    Raises:
        TrialDroppedError: The trial comes to no result; the message says why.
        BoardDisturbedError: The trial is to be done again later.
    """
    folder = f"trials/{number}"
    structure = tools.convert_by(
        candidate.structure, f"{folder}/structure", f"trial {number}, untrained"
    )
    boards = measure_ratios(_file(reference, tools), structure.model, tools)
    slowest = max(boards, key=lambda name: boards[name].latency_ratio.value)
    ratio = boards[slowest].latency_ratio.value
    if ratio > tools.max_latency_ratio:
        raise TrialDroppedError(
            f"takes {ratio:.2f} times as long as the reference on {slowest}, at most "
            f"{tools.max_latency_ratio:.2f} are allowed: it was not trained"
        )
    conversion = tools.convert_by(candidate.recipe, folder, f"trial {number}")
    return _result(number, conversion, boards, tools)


def measure_reference(reference: Path, tools: TrialTools) -> dict[str, BoardFigures]:
    """Measure the reference alone on each board.

    Returns:
        Name of each board to the figures, whose latency ratio is 1.

    Raises:
        TrialDroppedError: A board refuses the file.
        BoardDisturbedError: The figures cannot be trusted, however often they are measured.
    """
    boards = {}
    for name, measure in tools.measure.items():
        (figures,) = _measure_trusted([reference], measure)
        boards[name] = _board_figures(figures, figures)
    return boards


def measure_ratios(reference: Path, model: Path, tools: TrialTools) -> dict[str, BoardFigures]:
    """Measure a file and the reference in turn on each board, so that drift of a board cancels.

    Figures that cannot be trusted are measured again.

    Args:
        reference: File of the reference.
        model: The file.
        tools: Boards.

    Returns:
        Name of each board to the figures of the file. The bounds of the latency ratio are those
        that both intervals allow.

    Raises:
        TrialDroppedError: A board refuses the file.
        BoardDisturbedError: The figures cannot be trusted, however often they are measured.
    """
    boards = {}
    for name, measure in tools.measure.items():
        base, figures = _measure_trusted([reference, model], measure)
        boards[name] = _board_figures(base, figures)
    return boards


def _measure_trusted(paths: Sequence[Path], measure: Measure) -> list[FileFigures]:
    for _ in range(_MOST_MEASUREMENTS):
        answers = [_figures(answer) for answer in measure(paths)]
        if all(figures.is_trusted for figures in answers):
            return answers
    reasons = next(figures.reasons for figures in answers if not figures.is_trusted)
    raise BoardDisturbedError("; ".join(reasons))


def measure_all(
    results: Sequence[TrialResult], reference: TrialResult, tools: TrialTools
) -> tuple[TrialResult, ...]:
    """Measure the files of several results in one run on each board, in turn with the reference.

    Returns:
        The results with these figures; those that give no figure that can be trusted, and all of
        them where the reference gives none, keep what they had.
    """
    files = [_file(result, tools) for result in (reference, *results)]
    for name, measure in tools.measure.items():
        base, *others = map(_trusted, measure(files))
        results = [
            result
            if base is None or answer is None
            else replace(result, boards={**result.boards, name: _board_figures(base, answer)})
            for result, answer in zip(results, others, strict=True)
        ]
    return tuple(results)


def _trusted(answer: FileFigures | FileRefusal) -> FileFigures | None:
    if isinstance(answer, FileRefusal) or not answer.is_trusted:
        return None
    return answer


def _board_figures(base: FileFigures, figures: FileFigures) -> BoardFigures:
    """Figures of a file; the bounds of its latency ratio are those that both intervals allow."""
    one, other = base.latency_us, figures.latency_us
    is_base = figures is base
    ratio = Figure(other.value / one.value, other.low / one.high, other.high / one.low)
    return BoardFigures(
        Figure(1.0, 1.0, 1.0) if is_base else ratio,
        other,
        figures.memory_bytes,
        figures.energy_uj,
    )


def _file(result: TrialResult, tools: TrialTools) -> Path:
    return tools.request.out / result.folder / "model.tflite"


def _figures(answer: FileFigures | FileRefusal) -> FileFigures:
    if isinstance(answer, FileRefusal):
        raise TrialDroppedError(answer.reason)
    return answer


def _result(
    number: int, conversion: Conversion, boards: Mapping[str, BoardFigures], tools: TrialTools
) -> TrialResult:
    folder = str(conversion.model.parent.relative_to(tools.request.out))
    return TrialResult(
        number,
        conversion.recipe,
        folder,
        _accuracy(conversion, FILE),
        boards,
        conversion.model_bytes,
    )


def _accuracy(conversion: Conversion, subject: str) -> Figure:
    for score in conversion.scores:
        if score.subject == subject and score.split == _VALIDATION and not score.output:
            return Figure(score.accuracy, *score.interval)
    raise SearchError(
        f"{conversion.source}: has no accuracy on validation samples: kedge search is for "
        "classifiers with one output",
        "Compare recipes for it: kedge convert --recipe all",
    )
