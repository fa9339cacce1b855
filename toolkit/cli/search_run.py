"""A search from the options of its command, which may be kept ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.cli import output
from toolkit.cli.latency_budget import MULTIPLE
from toolkit.cli.search_watch import watch_search
from toolkit.report import words
from toolkit.report.search import describe_search

if TYPE_CHECKING:
    from targets.inventory import Inventory, Target
    from targets.progress import OnProgress
    from toolkit.search.outcome import SearchSettings

#: Longest time that a search may be given, seconds.
LONGEST_S = 14 * 24 * 3600.0


def run_search(options: dict[str, Any]) -> None:
    """Search, and print the outcome.

    Args:
        options: Name of each parameter of `kedge search` to its value.
    """
    from converters.late_test import judge_on_test
    from converters.process import convert
    from converters.request import ConversionRequest
    from targets.place import place_of
    from toolkit.measure.host_latency import measure_on
    from toolkit.progress import forward
    from toolkit.project import conversion_cache, open_inventory
    from toolkit.search.boards import first_that_answers
    from toolkit.search.outcome import plain_search
    from toolkit.search.search import search
    from toolkit.search.trial_run import TrialTools

    out = Path(options["out"])
    boards = _boards(open_inventory(), options["selection"])
    first, places = boards[0], sorted(map(place_of, boards))
    request = ConversionRequest(
        options["model"], options["data"], "", out, options["seed"], judge_all=True,
        judge_test=False, cache=conversion_cache(), measured_on=place_of(first),
    ).absolute()  # fmt: skip
    settings = _settings(options, ", ".join(places))
    budget, unit = options["max_latency"]
    try:
        with watch_search(options["as_json"]) as (watch, show):
            measures = {
                board.name: measure_on(board, _name_stages(board, show)) for board in boards
            }
            tools = TrialTools(
                request,
                lambda asked, report: convert(asked, report, first_that_answers(measures)),
                measures,
                budget if unit == MULTIPLE else float("inf"),
                forward(show),
                judge_on_test,
                None if unit == MULTIPLE else budget,
            )
            outcome = search(settings, tools, watch)
    except KeyboardInterrupt:
        if (request.out / "command.json").exists():
            output.note(f"\nall trials are kept; go on: kedge search resume {words.path(out)}")
        raise
    plain = plain_search(request.out, outcome, settings)
    if options["as_json"]:
        output.say(json.dumps({"event": "outcome", **plain}))
    else:
        output.print_blocks(describe_search(plain, out))


def _boards(inventory: Inventory, selection: str | None) -> list[Target]:
    """The boards, each once."""
    from toolkit.search.study_errors import SearchError

    boards = inventory.select(selection)
    names: dict[str, str] = {}
    for board in boards:
        other = names.setdefault(board.address, board.name)
        if other != board.name:
            raise SearchError(
                f"--on {selection}: {other} and {board.name} are one board, {board.address}",
                "Name each board once.",
            )
    return boards


def _name_stages(board: Target, show: OnProgress) -> OnProgress:
    """Put the name of the board before each stage: several measure at the same time."""
    return lambda stage, done, total: show(f"{board.name}: {stage}", done, total)


def _settings(options: dict[str, Any], place: str) -> SearchSettings:
    from toolkit.search.objective import choose_objectives
    from toolkit.search.outcome import SearchSettings
    from toolkit.search.shared_study import parse_study_url

    epochs, url = options["epochs"], options["study"]
    shared = None if url is None else parse_study_url(url)
    kept = {name: value for name, value in options.items() if name not in ("out", "as_json")}
    return SearchSettings(
        place,
        options["duration_s"],
        options["trials"],
        "auto" if epochs is None else epochs,
        choose_objectives(options["objective"]),
        options["max_drop"],
        shared,
        {**kept, "study": None if shared is None else shared.public_url},
    )
