"""`kedge target tune`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import output
from toolkit.report.measurement import EXIT_NOT_TRUSTED
from toolkit.cli.options import Duration, as_json, file_path

if TYPE_CHECKING:
    from toolkit.measure.tune import Setting, Trial, Tuning


@click.command("tune")
@click.argument("name")
@click.option(
    "--model", required=True, type=file_path(), help="The .tflite for which the settings are tuned."
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
@click.option("--wheelhouse", type=file_path(), envvar="KEDGE_WHEELHOUSE", hidden=True)
@as_json
def tune(
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
    from toolkit.measure.tune import tune, tuned
    from toolkit.project import open_inventory

    inventory = open_inventory()
    target = inventory.get(name)
    with output.progress() as show:
        found = tune(model, target, duration_s, wheelhouse, show)
    kept = found.chosen is not None and not dry_run
    if kept and found.chosen is not None:
        inventory.set_execution(name, tuned(target.execution, found.chosen.setting))
    if as_json:
        output.print_json({"schema": 1, "kept": kept, **as_plain(found)})
    else:
        show_tuning(found)
        if kept:
            output.say(f"kept for {name} in {output.path(inventory.path)}")
    return 0 if found.chosen is not None else EXIT_NOT_TRUSTED


def as_plain(found: Tuning) -> dict[str, Any]:
    """Return a tuning for a program; documented in docs/runtimes.md."""
    chosen = found.chosen
    return {
        "target": found.target,
        "place": found.place,
        "model": str(found.model),
        "chosen": _plain_setting(chosen.setting) if chosen else None,
        "default": _plain_setting(found.default),
        "speedup": found.speedup,
        "runtime_ratios": found.runtime_ratios,
        "trials": [_plain_trial(trial) for trial in found.trials],
        "refused": dict(found.refused),
    }


def _plain_setting(setting: Setting) -> dict[str, Any]:
    return {
        "runtime": setting.choice.distribution,
        "version": setting.choice.version,
        "threads": setting.threads,
        "cores": list(setting.cores),
    }


def _plain_trial(trial: Trial) -> dict[str, Any]:
    row = trial.row
    return {
        **_plain_setting(trial.setting),
        "screening_median_us": trial.screening_us,
        "verdict": row.verdict.kind if row else None,
        "reasons": list(row.verdict.reasons) if row else [],
        "invoke_median_us": row.latency.median_us if row else None,
        "invoke_ci_us": list(row.latency.interval_us) if row else None,
    }


def show_tuning(found: Tuning) -> None:
    """Print a tuning: what was found first."""
    chosen = found.chosen
    if chosen is None:
        output.say("nothing is kept: every figure of this board is INVALID")
    else:
        unsure = chosen.row is not None and chosen.row.verdict.kind != "VALID"
        output.say(f"fastest{' as far as it can be told' * unsure}: {_in_words(chosen.setting)}")
        _show_ratios(found, chosen)
    fastest_us = found.trials[0].median_us
    title = f"{output.path(found.model)} on {found.place}"
    columns = ["runtime", "threads", "cores", "median", "times the fastest", "verdict"]
    output.table(title, columns, [_shown_trial(trial, fastest_us) for trial in found.trials])
    for trial in found.trials:
        for reason in trial.row.verdict.reasons if trial.row else ():
            output.warn(f"{_in_words(trial.setting)}: {reason}")
    for runtime, reason in found.refused.items():
        output.warn(f"{runtime} was left out: {reason}")


def _show_ratios(found: Tuning, chosen: Trial) -> None:
    if chosen.setting == found.default:
        output.say("    which is what kedge takes untuned, too")
    elif found.speedup is not None:
        output.say(f"    {found.speedup:.2f} times as fast as untuned: {_in_words(found.default)}")
    for runtime, ratio in found.runtime_ratios.items():
        if runtime != chosen.setting.runtime:
            output.say(f"    {ratio:.2f} times as fast as {runtime} at its best")


def _shown_trial(trial: Trial, fastest_us: float) -> list[str]:
    setting, row = trial.setting, trial.row
    return [
        setting.runtime,
        str(setting.threads),
        ",".join(map(str, setting.cores)) or "all",
        output.duration(trial.median_us),
        f"{trial.median_us / fastest_us:.2f}",
        row.verdict.kind if row else "far behind",
    ]


def _in_words(setting: Setting) -> str:
    threads = f"{setting.threads} thread{'s' if setting.threads > 1 else ''}"
    cores = f" on cores {','.join(map(str, setting.cores))}" if setting.cores else ""
    return f"{setting.runtime}, {threads}{cores}"
