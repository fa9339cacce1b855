"""`kedge target tune`."""

from __future__ import annotations

from pathlib import Path

import click

from toolkit.cli import output
from toolkit.cli.completion import complete_targets
from toolkit.cli.options import Duration, as_json, file_path, wheelhouse
from toolkit.report import words
from toolkit.report.exit_code import EXIT_NOT_TRUSTED
from toolkit.report.tuning import describe_tuning, plain_tuning


@click.command("tune")
@click.argument("name", shell_complete=complete_targets)
@click.option(
    "--model", required=True, type=file_path(), help="Model file for which the settings are tuned."
)
@click.option(
    "--duration",
    "duration_s",
    type=Duration(),
    default="1500ms",
    show_default=True,
    help="Time to measure each of the fastest settings.",
)
@click.option("--dry-run", is_flag=True, help="Only measure; do not change kedge.toml.")
@wheelhouse
@as_json
def tune_command(
    name: str,
    model: Path,
    duration_s: float,
    dry_run: bool,
    wheelhouse: Path | None,
    as_json: bool,
) -> int:
    """Find the fastest settings for a model on a board, and keep them in kedge.toml.

    The command tries every runtime that loads, every number of threads up to the number of cores,
    and each class of cores of a big.LITTLE board. `bench`, `run` and `compare` then use the fastest
    settings, unless their options say otherwise. If every figure is INVALID, nothing is kept and
    the exit code is 9.

    \b
    kedge target tune pi --model out/model.tflite
    kedge target tune pi --model out/model.tflite --dry-run --json
    """
    from toolkit.measure.tune import apply_setting, tune_target
    from toolkit.project import open_inventory

    inventory = open_inventory()
    target = inventory.get(name)
    with output.progress() as show:
        tuning = tune_target(model, target, duration_s, wheelhouse, show)
    keeps = tuning.best is not None and not dry_run
    if keeps and tuning.best is not None:
        inventory.set_execution(name, apply_setting(target.execution, tuning.best.setting))
    if as_json:
        output.print_json({"schema": 1, "kept": keeps, **plain_tuning(tuning)})
    else:
        output.print_blocks(describe_tuning(tuning))
        if keeps:
            output.say(f"kept for {name} in {words.path(inventory.path)}")
    return 0 if tuning.best is not None else EXIT_NOT_TRUSTED
