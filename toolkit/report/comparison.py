"""A comparison of two latencies: its plain form and its words."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from toolkit.report import words
from toolkit.report.tables import Block, Note, Table

if TYPE_CHECKING:
    from toolkit.measure.compare import LatencyComparison

#: Largest number of processes that `kedge compare` takes; no advice asks for more.
MOST_PROCESSES = 200


def plain_latency_comparison(comparison: LatencyComparison) -> dict[str, Any]:
    """Return a comparison for a program; documented in docs/bench.md."""
    return {
        "target": comparison.target,
        "place": comparison.place,
        "interleaved": comparison.interleaved,
        "differences": list(comparison.differences),
        "trusted": comparison.trusted,
        "ratio": asdict(comparison.ratio),
        "arms": [
            {
                "name": arm.name,
                "verdict": arm.verdict.kind,
                "reasons": list(arm.verdict.reasons),
                "invoke_median_us": arm.latency.median_us,
                "invoke_ci_us": list(arm.latency.interval_us),
                "processes": len(arm.latency.process_medians_us),
            }
            for arm in (comparison.first, comparison.second)
        ],
    }


def describe_comparison(comparison: LatencyComparison) -> list[Block]:
    """Return a comparison for a person: the verdict first."""
    ratio = comparison.ratio
    low, high = ratio.interval
    verdict = ratio.verdict
    if not comparison.trusted:
        verdict = f"NOT TRUSTED, {verdict} by the figures"
    blocks: list[Block] = [
        f"{verdict}: B / A = {ratio.value:.3f} (95 % interval {low:.3f} to {high:.3f})"
    ]
    if ratio.processes_needed is not None:
        blocks.append(f"    {_way_out(ratio.processes_needed)}")
    if not comparison.interleaved:
        blocks.append("    they were not measured in turn: the board may have changed in between")
    blocks += map(Note, comparison.differences)
    rows = []
    for letter, arm in (("A", comparison.first), ("B", comparison.second)):
        interval = " to ".join(words.duration(value) for value in arm.latency.interval_us)
        median = words.duration(arm.latency.median_us)
        rows.append([f"{letter}: {arm.name}", median, interval, arm.verdict.kind])
        blocks += [Note(f"{letter}: {reason}") for reason in arm.verdict.reasons]
    columns = ["", "median", "of the processes", "verdict"]
    return [*blocks, Table(f"on {comparison.place}", columns, rows)]


def _way_out(processes_needed: int) -> str:
    if processes_needed <= MOST_PROCESSES:
        return f"about --processes {processes_needed} would decide it"
    return "the figures vary too much for any number of processes: what else runs on the board?"
