"""What a command checked, one case for each verdict, for CI servers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from toolkit.fleet.states import CONFIRMED, FAILURES
from toolkit.report.exit_code import (
    EXIT_REFUSED,
    exit_code_of_comparison,
)
from toolkit.report.junit import ERROR, FAILED, PASSED, Case

if TYPE_CHECKING:
    from converters.evidence.conversion import Conversion
    from toolkit.measure.bench import Measurement
    from toolkit.measure.bench_many import Outcome
    from toolkit.measure.compare import LatencyComparison
    from toolkit.report.page.rollout import Rollout

_VALID, _DIFFERS = "VALID", "DIFFERS"


def cases_of_outcomes(outcomes: Sequence[Outcome]) -> list[Case]:
    """Return the cases of a benchmark on boards."""
    cases: list[Case] = []
    for outcome in outcomes:
        if outcome.measurement is not None:
            cases += _cases_of_measurement(outcome.measurement)
        else:
            cases.append(Case(outcome.target, "benchmark", ERROR, str(outcome.error)))
    return cases


def _cases_of_measurement(measurement: Measurement) -> Iterator[Case]:
    target = measurement.target
    for row in measurement.rows:
        name = f"latency, {row.threads} threads" + (
            f", {row.streams} streams" if row.streams > 1 else ""
        )  # noqa: E501
        low, high = row.latency.interval_us
        figures = {"median_us": row.latency.median_us, "low_us": low, "high_us": high}
        verdict = PASSED if row.verdict.kind == _VALID else ERROR
        reasons = "; ".join(row.verdict.reasons)
        yield Case(target, name, verdict, f"{row.verdict.kind} {reasons}".strip(), figures)
    parity = measurement.parity
    verdict = FAILED if parity.verdict == _DIFFERS else PASSED
    yield Case(target, "outputs", verdict, f"{parity.verdict} {parity.reason}".strip())
    accuracy = measurement.accuracy
    if accuracy is not None:
        low, high = accuracy.drop.interval
        words = f"the board loses {accuracy.drop.fraction:.4f} ({low:.4f} to {high:.4f})"
        yield Case(target, "accuracy", FAILED if accuracy.board_is_worse else PASSED, words)


def case_of_comparison(comparison: LatencyComparison) -> Case:
    """Return the case of a comparison of two latencies."""
    ratio, code = comparison.ratio, exit_code_of_comparison(comparison)
    low, high = ratio.interval
    verdict = {0: PASSED, EXIT_REFUSED: FAILED}.get(code, ERROR)
    words = f"{ratio.verdict}: B / A = {ratio.value:.3f} ({low:.3f} to {high:.3f})"
    if not comparison.trusted:
        sides = (comparison.first, comparison.second)
        reasons = [reason for side in sides for reason in side.verdict.reasons]
        words = f"not trusted, {words}; {'; '.join(reasons)}"
    name = f"latency of {comparison.second.name} against {comparison.first.name}"
    figures = {"ratio": ratio.value, "low": low, "high": high}
    return Case(comparison.target, name, verdict, words, figures)


def case_of_conversion(conversion: Conversion) -> Case:
    """Return the case of a conversion: failed where its budget was not held."""
    budget = conversion.budget
    held = budget is None or budget.held
    reason = "" if budget is None else "; ".join(budget.reasons)
    figures = {"model_bytes": conversion.model_bytes, "model_sha256": conversion.model_sha256}
    name = f"conversion by {conversion.recipe_label}"
    return Case(conversion.source, name, PASSED if held else FAILED, reason, figures)


def cases_of_rollout(rollout: Rollout) -> list[Case]:
    """Return a case for each board of a rollout."""
    verdicts = {CONFIRMED: PASSED, **dict.fromkeys(FAILURES, FAILED)}
    return [
        Case(
            board.target,
            f"{rollout.app} {rollout.release}",
            verdicts.get(board.state, ERROR),
            f"{board.state} {board.reason}".strip(),
        )
        for board in rollout.boards
    ]
