"""Builds the page of a selection of conversions, measurements and rollouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.report.conversion import plain_judgement
from toolkit.report.page.board_results import group_by_board
from toolkit.report.page.content import Page, Section
from toolkit.report.page.layers import section_of_layers
from toolkit.report.page.op_times import section_of_op_times
from toolkit.report.page.over_time import section_over_time
from toolkit.report.page.reported_file import collect_files
from toolkit.report.page.rollout import describe_rollout, plain_rollout, section_of_rollouts
from toolkit.report.page.search_section import describe_search_in_short, sections_of_searches
from toolkit.report.page.sections import section_of_files, sections_of_boards
from toolkit.report.page.sentences import summarize
from toolkit.report.selection import select
from toolkit.report.stored_result import plain_result
from toolkit.results.store import open_results

if TYPE_CHECKING:
    from converters.evidence.conversion import Conversion
    from toolkit.report.page.rollout import Rollout
    from toolkit.results.store import StoredResult


def page_of_results(project: Path, numbers: Sequence[int]) -> Page:
    """Return the report of stored results, with the conversions that lie beside their files.

    Args:
        project: Folder of `kedge.toml`.
        numbers: Numbers of the results; at least one.

    Raises:
        ResultStoreError: There is no result of a number, or it is damaged.
    """
    with open_results(project) as store:
        selection = select(store, [str(number) for number in numbers])
    return build_page(selection.conversions, selection.results, dates=selection.dates)


def build_page(
    conversions: Sequence[Conversion],
    results: Sequence[StoredResult],
    rollouts: Sequence[Rollout] = (),
    dates: Mapping[str, str] | None = None,
    searches: Sequence[Mapping[str, Any]] = (),
) -> Page:
    """Return the report of a selection.

    Args:
        conversions: Conversions, of one model or several.
        results: Measurements, in any order.
        rollouts: Rollouts with their boards.
        dates: Digest of a converted file to the time at which it was made (UTC, ISO 8601).
        searches: Contents of search.json of searches.
    """
    files = collect_files(conversions, results)
    boards = group_by_board(files)
    sections: list[Section | None] = []
    verdicts: tuple[str, ...] = ()
    if files:
        sections = [
            section_of_files(files),
            *sections_of_boards(boards),
            section_of_op_times(files),
            section_over_time(files, boards, dates or {}),
            section_of_layers(files),
        ]
        verdicts = summarize(files, boards)
    if rollouts:
        sections.append(section_of_rollouts(rollouts))
        verdicts = (*(describe_rollout(rollout) for rollout in rollouts), *verdicts)
    sections = [*sections_of_searches(searches), *sections]
    verdicts = (*map(describe_search_in_short, searches), *verdicts)
    now = datetime.now(timezone.utc).isoformat(sep=" ", timespec="minutes")[:16]
    return Page(
        title=_title(conversions, results, rollouts, searches),
        verdicts=verdicts,
        sections=[section for section in sections if section is not None],
        data={
            "schema": 1,
            "conversions": [_plain_conversion(conversion) for conversion in conversions],
            "results": [plain_result(result) for result in results],
            "rollouts": [plain_rollout(rollout) for rollout in rollouts],
            "searches": list(searches),
        },
        made=f"Made by kedge {version('kedge')} at {now} UTC.",
    )


def _title(
    conversions: Sequence[Conversion],
    results: Sequence[StoredResult],
    rollouts: Sequence[Rollout],
    searches: Sequence[Mapping[str, Any]],
) -> str:
    sources = dict.fromkeys(Path(c.source).name for c in conversions)
    names = [*sources] or [*dict.fromkeys(Path(r.line.model).name for r in results)]
    targets = [*dict.fromkeys(result.line.target for result in results)]
    names = names or [rollout.app for rollout in rollouts]
    names = names or [f"Search on {plain['place']}" for plain in searches]
    title = _listed(names) or "Nothing was measured"
    return f"{title} on {_listed(targets)}" if targets else title


def _listed(names: Sequence[str], most: int = 3) -> str:
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return ", ".join(names)


def _plain_conversion(conversion: Conversion) -> dict[str, Any]:
    cost = conversion.cost
    return {
        "recipe": conversion.recipe_label,
        "model_sha256": conversion.model_sha256,
        "model_bytes": conversion.model_bytes,
        "source_sha256": conversion.source_sha256,
        "data_sha256": conversion.data_sha256,
        **plain_judgement(conversion),
        "drops": [
            {"split": d.split, "output": d.output, "drop": d.fraction, "interval": list(d.interval)}
            for d in conversion.drops
        ],
        "cost": None if cost is None else vars(cost),
    }
