"""`kedge report`."""

from __future__ import annotations

from pathlib import Path

import click

from toolkit.cli import output
from toolkit.cli.options import file_path
from toolkit.report import words


@click.command("report")
@click.argument("names", nargs=-1, metavar="[RESULT]…")
@click.option(
    "--rollout", "rollouts", type=int, multiple=True, help="Number of a rollout; may be repeated."
)
@click.option(
    "--out",
    type=file_path(dir_okay=False),
    default="report.html",
    show_default=True,
    help="File to write; one page that needs no network.",
)
def command(names: tuple[str, ...], rollouts: tuple[int, ...], out: Path) -> None:
    """Write one page about conversions and measurements, for people who decide.

    RESULT is the number of a result, or a folder of `kedge convert --out`, which brings all
    measurements of its files. Without any, all results of the project are taken.

    \b
    kedge report out/ --out report.html
    kedge report 12 13 14
    kedge report --rollout 3 --out rollout3.html
    """
    from toolkit.project import open_inventory
    from toolkit.report.page.build import build_page
    from toolkit.report.page.write import write_page
    from toolkit.report.rollouts import read_rollouts
    from toolkit.report.selection import select
    from toolkit.results.store import open_results

    project = open_inventory().path.parent
    with open_results(project) as store:
        selection = select(store, names, everything=not names and not rollouts)
    page = build_page(selection.conversions, selection.results, read_rollouts(project, rollouts))
    write_page(page, out)
    for sentence in page.verdicts:
        output.say(sentence)
    output.say(f"written: {words.path(out)} ({words.size(out.stat().st_size)})")
