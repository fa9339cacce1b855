"""Exit codes: what a result means for a script. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolkit.measure.bench import Measurement
    from toolkit.measure.compare import LatencyComparison

#: A gate, a budget or a comparison said no: a decision, not an error.
EXIT_REFUSED = 8

#: There is a figure, but it is not trustworthy, or the answer is inconclusive.
EXIT_NOT_TRUSTED = 9

#: A person ended the command; what was whole by then is kept.
EXIT_INTERRUPTED = 130

#: Over many targets the first of these that occurs is the exit code: what needs a person first.
GRAVEST_FIRST = (1, EXIT_INTERRUPTED, 5, 8, 7, 6, 4, 3, 9, 0)


def gravest_exit_code(codes: Iterable[int]) -> int:
    """Return the exit code of many targets together."""
    return min(codes, key=GRAVEST_FIRST.index)


def exit_code_of_measurement(measurement: Measurement) -> int:
    """Return what a measurement means for a script."""
    if measurement.interrupted:
        return EXIT_INTERRUPTED
    if measurement.failure is not None:
        return measurement.failure.exit_code
    if measurement.parity.verdict == "DIFFERS":
        return EXIT_REFUSED
    if measurement.accuracy is not None and measurement.accuracy.board_is_worse:
        return EXIT_REFUSED
    return 0 if measurement.best.verdict.kind == "VALID" else EXIT_NOT_TRUSTED


def exit_code_of_comparison(comparison: LatencyComparison) -> int:
    """Return what a comparison of latencies means for a script."""
    if not comparison.trusted:
        return EXIT_NOT_TRUSTED
    codes = {"REGRESSED": EXIT_REFUSED, "INCONCLUSIVE": EXIT_NOT_TRUSTED}
    return codes.get(comparison.ratio.verdict, 0)
