"""The boards of a search: they measure at the same time, and each file once.

A board that is lost or disturbed pauses; the others go on. What it missed is measured later.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from converters.digest import sha256_of
from converters.measure import Figure, FileFigures, FileRefusal, Measure
from device_agent.contract.codes import IntegrityError
from targets.errors import TargetError
from toolkit.errors import ToolkitError
from toolkit.search.front import BoardFigures, TrialResult, load_figures
from toolkit.search.study_errors import SearchError

#: Number of measurements of files until a board counts as disturbed.
_MOST_MEASUREMENTS = 3
#: Number of files that are measured in one run, the reference included.
_MOST_IN_TURN = 12
#: Time until a board that paused is tried again, seconds.
_RETRY_S = 60.0

#: First word of the name of a note about figures.
_NOTE = "figures"

Answers = Sequence[FileFigures | FileRefusal]


class BoardDisturbedError(Exception):
    """The board gives no figures that can be trusted now."""


class BoardRefusalError(Exception):
    """A board cannot run a file."""


#: Errors of one board, which leave the others as they are.
BoardProblem = BoardDisturbedError | IntegrityError | TargetError | ToolkitError


class Notes(Protocol):
    """What keeps plain data for all runs of a search."""

    @property
    def notes(self) -> Mapping[str, Any]:
        """Name of everything that is kept to the plain data."""
        ...

    def keep_note(self, name: str, value: Any) -> None:
        """Keep plain data."""
        ...


@dataclass(frozen=True)
class Pause:
    """Why a board does not measure now."""

    error: BoardProblem
    """Error that it ended with."""
    ends_at: float
    """Time at which it is tried again, seconds of `time.monotonic`."""


class Boards:
    """Boards of a search, and all figures that they measured."""

    def __init__(
        self, measures: Mapping[str, Measure], notes: Notes, report: Callable[[str], None]
    ) -> None:
        """Begin; nothing is measured yet.

        Args:
            measures: Name of each board to what measures files on it.
            notes: Figures of earlier runs and of other workers.
            report: Function that gets a sentence where a board pauses or is there again.
        """
        self._measures, self._notes, self._report = dict(measures), notes, report
        self._figures: dict[tuple[str, str], BoardFigures] = {}
        self._refusals: set[tuple[str, str]] = set()
        #: Name of each board that pauses to the reason.
        self.pauses: dict[str, Pause] = {}
        self._read_notes()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the boards."""
        return tuple(self._measures)

    def figures_of(self, *digests: str) -> dict[str, BoardFigures]:
        """Return name of each board to the figures of the first of these files that it measured."""
        figures = {}
        for name in self._measures:
            known = (self._figures.get((name, digest)) for digest in digests)
            first = next((each for each in known if each is not None), None)
            if first is not None:
                figures[name] = first
        return figures

    def complete(self, result: TrialResult) -> TrialResult:
        """Return a result with all figures that are known by now."""
        figures = self.figures_of(result.sha256, result.structure_sha256)
        return replace(result, boards={**result.boards, **figures}) if figures else result

    def measure_file(self, reference: Path, model: Path) -> dict[str, BoardFigures]:
        """Measure a file on each board that answers, in turn with the reference.

        Args:
            reference: File of the reference.
            model: The file; it may be the reference itself.

        Returns:
            Name of each board that measured it, now or earlier, to the figures.

        Raises:
            BoardRefusalError: A board cannot run the file.
            SearchError: No board gives figures that can be trusted.
            TargetError: No board answers.
        """
        digest = sha256_of(model)
        if not all(self._is_known(name, digest) for name in self._measures):
            self._read_notes()  # another worker may have measured it
        pending = [name for name in self._measures if not self._is_known(name, digest)]
        known = self.figures_of(digest)
        due = [name for name in pending if self._is_due(name)] or ([] if known else pending)
        paths = [reference] if reference == model else [reference, model]
        answers = self._on_each(due, lambda name: self._measure_trusted(name, paths))
        for name, (base, *others) in answers.items():
            self._keep(name, base, (others or [base])[0], digest)
        for name, (base, *others) in answers.items():
            for answer in (base, *others):
                if isinstance(answer, FileRefusal):
                    raise BoardRefusalError(f"{name} cannot run it: {answer.reason}")
        figures = self.figures_of(digest)
        if not figures:
            self._raise_pause()
        return figures

    def measure_missing(
        self,
        reference: Path,
        files: Mapping[str, Path],
        digests: Mapping[str, tuple[str, ...]],
        with_paused: bool,
    ) -> None:
        """Measure, on each board that answers, the files that it has no figures of.

        Args:
            reference: File of the reference.
            files: Digest of each file to its path.
            digests: Digest of each file to those whose figures count for it.
            with_paused: Whether boards are tried, too, that pause for some time yet.
        """
        missing = {
            name: [
                digest
                for digest in files
                if not any(self._is_known(name, each) for each in digests[digest])
            ]
            for name in self._measures
        }
        names = [
            name for name in self._measures if missing[name] and (with_paused or self._is_due(name))
        ]

        def work(name: str) -> Answers:
            step = _MOST_IN_TURN - 1
            for start in range(0, len(missing[name]), step):
                part = missing[name][start : start + step]
                paths = [reference, *(files[digest] for digest in part)]
                base, *answers = self._measure_trusted(name, paths)
                for digest, answer in zip(part, answers, strict=True):
                    self._keep(name, base, answer, digest)
            return []

        self._on_each(names, work)

    def _is_due(self, name: str) -> bool:
        pause = self.pauses.get(name)
        return pause is None or time.monotonic() >= pause.ends_at

    def _is_known(self, name: str, digest: str) -> bool:
        return (name, digest) in self._figures or (name, digest) in self._refusals

    def _read_notes(self) -> None:
        for text, plain in self._notes.notes.items():
            note, _, rest = text.partition(" ")
            digest, _, name = rest.partition(" ")
            if note == _NOTE and name in self._measures and (name, digest) not in self._figures:
                self._figures[name, digest] = load_figures(plain)

    def _keep(
        self,
        name: str,
        base: FileFigures | FileRefusal,
        answer: FileFigures | FileRefusal,
        digest: str,
    ) -> None:
        if isinstance(base, FileRefusal) or isinstance(answer, FileRefusal):
            self._refusals.add((name, digest))
            return
        figures = compare_with(base, answer)
        self._figures[name, digest] = figures
        self._notes.keep_note(f"{_NOTE} {digest} {name}", asdict(figures))

    def _measure_trusted(self, name: str, paths: Sequence[Path]) -> Answers:
        """Measure, again where the figures cannot be trusted; refusals are answers."""
        reasons: tuple[str, ...] = ()
        for _ in range(_MOST_MEASUREMENTS):
            answers = self._measures[name](paths)
            reasons = next(
                (
                    answer.reasons or (answer.verdict,)
                    for answer in answers
                    if isinstance(answer, FileFigures) and not answer.is_trusted
                ),
                (),
            )
            if not reasons:
                return answers
        raise BoardDisturbedError("; ".join(reasons))

    def _on_each(self, names: Sequence[str], work: Callable[[str], Answers]) -> dict[str, Answers]:
        """Do work on several boards at once; a board with a problem pauses."""
        answers: dict[str, Answers] = {}
        errors: dict[str, Exception] = {}

        def do(name: str) -> None:
            try:
                answers[name] = work(name)
            except Exception as error:
                errors[name] = error

        if len(names) == 1:  # in this thread, where Ctrl-C ends it in good order
            do(names[0])
        else:
            # Daemons, so that Ctrl-C need not wait for a board.
            threads = [threading.Thread(target=do, args=(name,), daemon=True) for name in names]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        for name in names:
            self._note_state(name, errors.get(name))
        return {name: answers[name] for name in names if name in answers}

    def _note_state(self, name: str, error: Exception | None) -> None:
        if error is None:
            if self.pauses.pop(name, None) is not None:
                self._report(f"{name} measures again")
            return
        if not isinstance(error, BoardProblem):
            raise error
        is_new = name not in self.pauses
        self.pauses[name] = Pause(error, time.monotonic() + _RETRY_S)
        if is_new and len(self._measures) > 1:
            self._report(f"{name} pauses: {error}; the search goes on with the other boards")

    def _raise_pause(self) -> None:
        """Raise why no board gives figures."""
        names = [name for name in self._measures if name in self.pauses]
        error = self.pauses[names[0]].error
        if isinstance(error, BoardDisturbedError):
            raise SearchError(
                f"{names[0]} gives no latency that can be trusted: {error}",
                "Calm the board (kedge target check says how); the same command goes on.",
            ) from error
        raise error


def first_that_answers(measures: Mapping[str, Measure]) -> Measure:
    """Return what measures files on the first of several boards that answers.

    Conversions measure by it, for steps that go by latency: a lost board does not end them.

    Args:
        measures: Name of each board to what measures files on it, in order.

    Returns:
        A `Measure`. It raises the error of the last board where none answers.
    """

    def measure(paths: Sequence[Path]) -> Answers:
        *others, last = measures.values()
        for each in others:
            with contextlib.suppress(IntegrityError, TargetError, ToolkitError):
                return each(paths)
        return last(paths)

    return measure


def compare_with(base: FileFigures, figures: FileFigures) -> BoardFigures:
    """Compare figures of a file with those of the reference.

    Args:
        base: Figures of the reference.
        figures: Figures of the file; `base` itself for the reference.

    Returns:
        Figures, and ratios with the bounds that both intervals allow.
    """
    is_base = figures is base
    energy, base_energy = figures.energy_uj, base.energy_uj
    is_known = energy is not None and base_energy is not None
    return BoardFigures(
        _divide(figures.latency_us, base.latency_us, is_base),
        figures.latency_us,
        _divide(figures.memory_bytes, base.memory_bytes, is_base),
        figures.memory_bytes,
        _divide(energy, base_energy, is_base) if is_known else None,
        energy,
    )


def _divide(figure: Figure | None, base: Figure | None, is_base: bool) -> Figure:
    if is_base or figure is None or base is None:
        return Figure(1.0, 1.0, 1.0)
    return Figure(figure.value / base.value, figure.low / base.high, figure.high / base.low)
