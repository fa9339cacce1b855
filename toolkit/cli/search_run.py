"""A search from the options of its command, which may be kept ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.cli import output
from toolkit.cli.search_watch import watch_search
from toolkit.report import words
from toolkit.report.search import describe_search

if TYPE_CHECKING:
    from toolkit.search.outcome import SearchSettings

#: Longest time that a search may be given, seconds.
LONGEST_S = 14 * 24 * 3600.0


def run_search(options: dict[str, Any]) -> None:
    """Search, and print the outcome.

    Args:
        options: Name of each parameter of `kedge search` to its value.
    """
    from converters.process import convert
    from converters.request import ConversionRequest
    from targets.place import place_of
    from toolkit.measure.host_latency import measure_on
    from toolkit.progress import forward
    from toolkit.project import conversion_cache, open_inventory
    from toolkit.search.outcome import plain_search
    from toolkit.search.search import search
    from toolkit.search.trial_run import TrialTools

    name, out = options["name"], Path(options["out"])
    inventory = open_inventory()
    board = inventory.only() if name is None else inventory.get(name)
    request = ConversionRequest(
        options["model"], options["data"], "", out, options["seed"], judge_all=True,
        cache=conversion_cache(), measured_on=place_of(board),
    ).absolute()  # fmt: skip
    settings = _settings(options, place_of(board))
    try:
        with watch_search(options["as_json"]) as (watch, show):
            tools = TrialTools(
                request,
                lambda asked, report: convert(asked, report, measure_on(board, show)),
                {board.name: measure_on(board, show)},
                options["max_latency_ratio"],
                forward(show),
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


def _settings(options: dict[str, Any], place: str) -> SearchSettings:
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
        options["max_drop"],
        shared,
        {**kept, "study": None if shared is None else shared.public_url},
    )
