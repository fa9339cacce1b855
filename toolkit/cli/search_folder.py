"""`kedge search show`, `resume` and `export`: a search in a folder."""

from __future__ import annotations

from pathlib import Path

import click

from toolkit.cli import output
from toolkit.cli.options import Duration, as_json, file_path
from toolkit.cli.search_run import LONGEST_S, run_search
from toolkit.cli.search_watch import running_line
from toolkit.report import words
from toolkit.report.search import describe_search

_folder = click.argument("folder", type=file_path(), metavar="DIR")


@click.command("show")
@_folder
@as_json
def show_search(folder: Path, as_json: bool) -> None:
    """Show what a search has found, while it runs or afterwards.

    \b
    kedge search show search
    kedge search show search --json
    """
    from toolkit.search.export import read_search

    plain = read_search(folder)
    if as_json:
        output.print_json(plain)
        return
    output.print_blocks([*describe_search(plain, folder), *map(running_line, plain["running"])])


@click.command("resume")
@_folder
@click.option(
    "--for",
    "duration_s",
    type=Duration(LONGEST_S),
    help="Time after which no trial begins any more, instead of the earlier one.",
)
@click.option(
    "--trials",
    type=click.IntRange(1, 100_000),
    help="Number of trials of all runs after which none begins any more, instead of the earlier.",
)
@click.option("--study", metavar="URL", help="URL of the shared study, such as with its password.")
@as_json
def resume_search(
    folder: Path, duration_s: float | None, trials: int | None, study: str | None, as_json: bool
) -> None:
    """Go on with the search in DIR, with the options that it was begun with.

    The time of --for begins anew. A password is not kept: give it in PGPASSWORD, ~/.pgpass or
    --study.

    \b
    kedge search resume search
    kedge search resume search --for 8h --trials 200
    """
    from toolkit.search.kept_command import read_command

    fresh = {"duration_s": duration_s, "trials": trials, "study": study}
    options = read_command(folder)
    options |= {name: value for name, value in fresh.items() if value is not None}
    run_search({**options, "out": folder, "as_json": as_json})


@click.command("export")
@_folder
@click.argument("number", type=click.IntRange(1), required=False, metavar="[N]")
@click.option("--trial", type=click.IntRange(0), help="Number of a trial, on the front or not.")
@click.option("--out", required=True, type=file_path(), help="Folder for the files.")
def export_search(folder: Path, number: int | None, trial: int | None, out: Path) -> None:
    """Copy model N of the front, or a trial: the model, recipe.toml and conversion.json.

    \b
    kedge search export search 1 --out fastest
    kedge search export search --trial 17 --out trial17
    """
    from toolkit.search.export import export_trial, front_folder, trial_folder

    if (number is None) == (trial is None):
        raise click.UsageError("Give N, a model of the front, or --trial.")
    if number is not None:
        source = front_folder(folder, number)
    else:
        assert trial is not None
        source = trial_folder(folder, trial)
    names = export_trial(folder, source, out)
    output.say(f"written to {words.path(out)}: {', '.join(names)}")
    if names == ("recipe.toml",):
        output.warn(
            "another machine has the model; this makes it again: kedge convert MODEL --data DATA "
            f"--recipe {words.path(out / 'recipe.toml')}"
        )
