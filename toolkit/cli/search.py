"""`kedge search`."""

from __future__ import annotations

from typing import Any

import click

from toolkit.cli.groups import CommandGroup
from toolkit.cli.latency_budget import LatencyBudget
from toolkit.cli.options import Duration, as_json, file_path, max_drop, targets
from toolkit.cli.search_folder import export_search, resume_search, show_search
from toolkit.cli.search_run import LONGEST_S, run_search


class _SearchGroup(CommandGroup):
    """The search itself, and beside it the commands about a search in a folder."""

    allow_interspersed_args = True  # options of the search also stand behind MODEL

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Leave the line to a command whose name it begins with."""
        if args and args[0] in self.commands:
            name, *others = args
            return self.commands[name].make_context(f"{info_name} {name}", others, parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options of the search itself."""
        return click.Command.parse_args(self, ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Search."""
        return click.Command.invoke(self, ctx)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Name the parts of the search itself; the commands stand below."""
        return click.Command.collect_usage_pieces(self, ctx)


@click.group("search", cls=_SearchGroup)
@click.argument("model", type=file_path())
@click.option("--data", required=True, type=file_path(), help="Samples, as `kedge convert` takes.")
@targets
@click.option(
    "--for",
    "duration_s",
    type=Duration(LONGEST_S),
    default="1h",
    show_default=True,
    help="Time after which no trial begins any more.",
)
@click.option(
    "--trials",
    type=click.IntRange(1, 100_000),
    default=100_000,
    help="Number of trials, those of earlier runs included, after which none begins any more.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1, 1000),
    help="Epochs of each training step of a trial, instead of as many as help.",
)
@max_drop
@click.option(
    "--max-latency",
    type=LatencyBudget(),
    default="1x",
    show_default=True,
    help="Structures slower than this on one of the boards are not trained: 5ms, or 0.8x of the "
    "latency of plain int8.",
)
@click.option(
    "--objective",
    default="accuracy,latency",
    show_default=True,
    help="What is improved: accuracy,latency and, behind them, memory, size or energy.",
)
@click.option(
    "--study",
    metavar="URL",
    help="PostgreSQL database for a search that several machines share, such as "
    "postgresql://user@host/database.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed.")
@click.option("--out", required=True, type=file_path(), help="Folder of the search.")
@as_json
def command(**options: Any) -> None:
    """Search for smaller and faster versions of a classifier, measured on your boards.

    Each trial takes blocks or channels out of MODEL or decomposes its layers. Its structure is
    measured on each board before anything is trained, in turn with the original in plain int8.
    What is fast enough on all of them is trained by distillation and judged on validation samples.
    OUT/search.json has all results; OUT/front has the models that no other one beats, with the
    recipe of each.

    Everything is kept: after Ctrl-C or a lost board the same command goes on, and so does `kedge
    search resume OUT`. With --study, other machines may run the same command at the same time.

    \b
    kedge search resnet8.h5 --data cifar10.tar.gz --on pi --for 2h --out search
    kedge search model.keras --data data.npz --on pi,nano --trials 40 --max-drop 1% --out search
    """
    run_search(options)


command.add_command(show_search)
command.add_command(resume_search)
command.add_command(export_search)
