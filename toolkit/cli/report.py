"""`kedge report`."""

from __future__ import annotations

from pathlib import Path

import click

from toolkit.cli import output
from toolkit.cli.options import file_path, since, with_tag
from toolkit.report import words


@click.command("report")
@click.argument("names", nargs=-1, metavar="[RESULT]…")
@click.option(
    "--rollout", "rollouts", type=int, multiple=True, help="Number of a rollout; may be repeated."
)
@with_tag
@since
@click.option(
    "--out",
    type=file_path(dir_okay=False),
    default="report.html",
    show_default=True,
    help="File to write; one page that needs no network.",
)
def command(
    names: tuple[str, ...], rollouts: tuple[int, ...], tag: str, since: str, out: Path
) -> None:
    """Write one page about conversions and measurements, for people who decide.

    RESULT is the number of a measurement (12) or of a conversion (c3), or a folder of `kedge
    convert --out` or `kedge search --out`; conversions bring all measurements of their files.
    Without any, all results of the project are taken, or those of --tag and --since.

    \b
    kedge report out/ --out report.html
    kedge report 12 13 c3
    kedge report search/ --out search.html
    kedge report --tag baseline --since 2026-11-01
    kedge report --rollout 3 --out rollout3.html
    """
    from toolkit.project import open_inventory
    from toolkit.report.page.build import build_page
    from toolkit.report.page.write import write_page
    from toolkit.report.rollouts import read_rollouts
    from toolkit.report.selection import EMPTY, LabelFilter, select
    from toolkit.results.store import open_results
    from toolkit.search.export import read_search
    from toolkit.search.outcome import SEARCH_NAME

    searches = [Path(name) for name in names if (Path(name) / SEARCH_NAME).is_file()]
    others = [name for name in names if Path(name) not in searches]
    project = open_inventory().path.parent
    with open_results(project) as store:
        has_filter = bool(tag or since)
        label_filter = LabelFilter(tag, since) if has_filter or not (names or rollouts) else None
        selection = EMPTY
        if others or label_filter is not None:
            selection = select(store, others, label_filter)
    page = build_page(
        selection.conversions,
        selection.results,
        read_rollouts(project, rollouts),
        selection.dates,
        [read_search(folder) for folder in searches],
    )
    write_page(page, out)
    for sentence in page.verdicts:
        output.say(sentence)
    output.say(f"written: {words.path(out)} ({words.size(out.stat().st_size)})")
