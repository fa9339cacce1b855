"""One trial: its structure is measured on the board first, and what is fast enough is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from converters import durable
from converters.errors import ConversionError
from converters.evidence.conversion import Conversion
from converters.judge.score import FILE, ORIGINAL
from converters.measure import Figure, Measure
from converters.progress import Progress, Report
from converters.request import ConversionRequest
from toolkit.search.boards import BoardRefusalError, Boards
from toolkit.search.front import BoardFigures, TrialResult
from toolkit.search.halving import Training
from toolkit.search.space import REFERENCE, Candidate
from toolkit.search.study_errors import SearchError

#: Name of the recipe in the folder of each trial.
RECIPE_NAME = "recipe.toml"
_VALIDATION = "validation"

#: Receives the accuracy on the validation samples after each epoch, 0-1.
OnEpoch = Callable[[float], None]
#: `converters.late_test.judge_on_test`, or what stands in its place in a test.
Judge = Callable[[Sequence[ConversionRequest], Report], None]
#: `converters.process.convert`, or what stands in its place in a test.
Convert = Callable[[ConversionRequest, Report], Conversion]


class TrialDroppedError(Exception):
    """A trial comes to no result: its recipe was refused, or the structure is too slow."""

    def __init__(self, message: str, hint: str = "") -> None:
        """Make an error with the hint of what was refused."""
        super().__init__(message)
        self.hint = hint


class TooSlowError(TrialDroppedError):
    """The structure takes longer than a budget allows."""

    def __init__(self, message: str, latency_us: float) -> None:
        """Make an error with the latency on the slowest board, microseconds."""
        super().__init__(message)
        self.latency_us = latency_us


class TrialHopelessError(TrialDroppedError):
    """A training falls behind those of trials that are about as fast: it was ended."""

    def __init__(self, training: Training, result: TrialResult) -> None:
        """Make an error.

        Args:
            training: The training.
            result: Figures of the trial so far.
        """
        super().__init__(
            f"ended after epoch {training.epochs}: {training.accuracy:.2%} of the validation "
            "samples, and half of the trials that are about as fast did better by then"
        )
        self.result = result


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
    judge: Judge
    """Judges finished conversions on the test samples."""
    max_latency_us: float | None = None
    """Longest latency on the slowest board with which a structure is trained, microseconds."""

    def request_of(self, folder: str) -> ConversionRequest:
        """Return the request of a conversion.

        Args:
            folder: Folder below that of the search.
        """
        out = self.request.out / folder
        return replace(self.request, recipe=str(out / RECIPE_NAME), out=out)

    def convert_by(
        self, recipe: str, folder: str, stage: str, on_epoch: OnEpoch = lambda _: None
    ) -> Conversion:
        """Convert by a recipe.

        Args:
            recipe: The recipe as TOML.
            folder: Folder below that of the search.
            stage: Words for the progress.
            on_epoch: Called after each epoch of a training; what it raises ends the conversion.

        Raises:
            TrialDroppedError: The recipe or the model is refused.
            ConversionError: Nothing can be converted now, such as with a full disk.
        """
        request = self.request_of(folder)
        request.out.mkdir(parents=True, exist_ok=True)
        durable.write(request.out / RECIPE_NAME, recipe.encode())

        def report(progress: Progress) -> None:
            self.report(replace(progress, stage=f"{stage}: {progress.stage}"))
            if progress.validation_accuracy is not None:
                on_epoch(progress.validation_accuracy)

        try:
            return self.convert(request, report)
        except ConversionError as error:
            if error.exit_code != ConversionError.exit_code:  # not about this recipe
                raise
            raise TrialDroppedError(str(error), error.hint) from error


def convert_reference(tools: TrialTools, boards: Boards) -> TrialResult:
    """Convert the original by plain quantization: the reference of all trials.

    Raises:
        ConversionError: The model or the data is refused.
        SearchError: The task is no classification, or a board cannot run the file.
        TargetError: No board answers.
    """
    try:
        conversion = tools.convert_by(REFERENCE.recipe, "reference", "reference")
    except TrialDroppedError as error:
        raise ConversionError(str(error), error.hint) from error
    try:
        figures = boards.measure_file(conversion.model, conversion.model)
    except BoardRefusalError as error:
        raise SearchError(
            f"the original in plain int8: {error}",
            "Leave this board out of --on, or see what it lacks: kedge target check",
        ) from error
    digest = conversion.model_sha256
    return _result(-1, conversion, figures, tools, (conversion.model_bytes, digest))


def original_accuracy(conversion: Conversion) -> Figure:
    """Return the accuracy of the original model on the validation samples, 0-1.

    Raises:
        SearchError: The task is no classification.
    """
    return _accuracy(conversion, ORIGINAL)


def run_trial(
    number: int,
    candidate: Candidate,
    reference: TrialResult,
    tools: TrialTools,
    boards: Boards,
    begin_training: Callable[[float], Training],
) -> TrialResult:
    """Do a trial.

    Args:
        number: Number of the trial.
        candidate: Structure and training that it chose.
        reference: Reference, whose file is measured beside each structure.
        tools: Converter and limits.
        boards: Boards.
        begin_training: Function that gets the latency ratio of the structure before its training.

    Raises:
        TrialHopelessError: The training falls behind those of trials that are about as fast.
        TrialDroppedError: The trial comes to no result; the message says why.
        SearchError: No board gives figures that can be trusted: the trial is to be done again.
        TargetError: No board answers: the trial is to be done again.
    """
    folder = f"trials/{number}"
    structure = tools.convert_by(
        candidate.structure, f"{folder}/structure", f"trial {number}, untrained"
    )
    try:
        figures = boards.measure_file(file_of(reference, tools), structure.model)
    except BoardRefusalError as error:
        raise TrialDroppedError(str(error)) from error
    _check_latency(figures, tools)
    whole = (reference.model_bytes, structure.model_sha256)
    training = begin_training(max(each.latency_ratio.value for each in figures.values()))

    def on_epoch(accuracy: float) -> None:
        if training.falls_behind(accuracy):
            best = Figure(training.accuracy, training.accuracy, training.accuracy)
            untrained = _result(number, structure, figures, tools, whole)
            raise TrialHopelessError(training, replace(untrained, accuracy=best))

    conversion = tools.convert_by(candidate.recipe, folder, f"trial {number}", on_epoch)
    training.end()
    return _result(number, conversion, figures, tools, whole)


def _check_latency(figures: Mapping[str, BoardFigures], tools: TrialTools) -> None:
    slowest = max(figures, key=lambda name: figures[name].latency_ratio.value)
    ratio = figures[slowest].latency_ratio.value
    longest = max(figures, key=lambda name: figures[name].latency_us.value)
    latency_us = figures[longest].latency_us.value
    if tools.max_latency_us is not None and latency_us > tools.max_latency_us:
        raise TooSlowError(
            f"takes {latency_us / 1e3:.4g} ms on {longest}, at most "
            f"{tools.max_latency_us / 1e3:.4g} ms are allowed: it was not trained",
            latency_us,
        )
    if ratio > tools.max_latency_ratio:
        raise TooSlowError(
            f"takes {ratio:.2f} times as long as the reference on {slowest}, at most "
            f"{tools.max_latency_ratio:.2f} are allowed: it was not trained",
            latency_us,
        )


def file_of(result: TrialResult, tools: TrialTools) -> Path:
    """Return the model file of a result."""
    return tools.request.out / result.folder / "model.tflite"


def _result(
    number: int,
    conversion: Conversion,
    figures: Mapping[str, BoardFigures],
    tools: TrialTools,
    whole: tuple[int, str],
) -> TrialResult:
    """A result; `whole` is the size of the reference and the digest of the untrained file."""
    reference_bytes, structure_sha256 = whole
    folder = str(conversion.model.parent.relative_to(tools.request.out))
    return TrialResult(
        number,
        conversion.recipe,
        folder,
        _accuracy(conversion, FILE),
        figures,
        conversion.model_bytes,
        conversion.model_bytes / reference_bytes,
        conversion.model_sha256,
        structure_sha256,
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
