"""`kedge search`."""

from __future__ import annotations

from pathlib import Path

import click

from toolkit.cli import output
from toolkit.cli.options import Duration, FiniteRange, as_json, file_path, max_drop, target
from toolkit.report.search import describe_search

_LONGEST_S = 14 * 24 * 3600.0


@click.command("search")
@click.argument("model", type=file_path())
@click.option("--data", required=True, type=file_path(), help="Samples, as `kedge convert` takes.")
@target
@click.option(
    "--for",
    "duration_s",
    type=Duration(_LONGEST_S),
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
    "--max-latency-ratio",
    type=FiniteRange(0.01, 10),
    default=1.0,
    show_default=True,
    help="Structures slower than this, as a multiple of plain int8, are not trained.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed.")
@click.option("--out", required=True, type=file_path(), help="Folder of the search.")
@as_json
def command(
    model: Path,
    data: Path,
    name: str | None,
    duration_s: float,
    trials: int,
    epochs: int | None,
    max_drop: float | None,
    max_latency_ratio: float,
    seed: int,
    out: Path,
    as_json: bool,
) -> None:
    """Search for smaller and faster versions of a classifier, measured on a board.

    Each trial takes blocks or channels out of MODEL or decomposes its layers. Its structure is
    measured on the board before anything is trained, in turn with the original in plain int8. What
    is fast enough is trained by distillation and judged on validation samples. OUT/search.json has
    all results; OUT/front has the models that no other one beats, with the recipe of each.

    Everything is kept: after Ctrl-C or a lost board the same command goes on.

    \b
    kedge search resnet8.h5 --data cifar10.tar.gz --on pi --for 2h --out search
    kedge search model.keras --data data.npz --on pi --trials 40 --max-drop 1% --out search
    """
    from converters.process import convert
    from converters.request import ConversionRequest
    from targets.place import place_of
    from toolkit.measure.host_latency import measure_on
    from toolkit.progress import forward
    from toolkit.project import conversion_cache, open_inventory
    from toolkit.search.outcome import SearchSettings, plain_search
    from toolkit.search.search import search
    from toolkit.search.trial_run import TrialTools

    inventory = open_inventory()
    board = inventory.only() if name is None else inventory.get(name)
    request = ConversionRequest(
        model, data, "", out, seed, judge_all=True, cache=conversion_cache(),
        measured_on=place_of(board),
    ).absolute()  # fmt: skip
    settings = SearchSettings(
        place_of(board), duration_s, trials, "auto" if epochs is None else epochs, max_drop
    )
    with output.progress() as show:
        tools = TrialTools(
            request,
            lambda asked, report: convert(asked, report, measure_on(board, show)),
            {board.name: measure_on(board, show)},
            max_latency_ratio,
            forward(show),
        )
        outcome = search(settings, tools, lambda _, words: output.note(words))
    plain = plain_search(request.out, outcome, settings)
    if as_json:
        output.print_json(plain)
    else:
        output.print_blocks(describe_search(plain, out))
