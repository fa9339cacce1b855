"""A tuning: its plain form and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toolkit.report import words
from toolkit.report.tables import Block, Note, Table

if TYPE_CHECKING:
    from toolkit.measure.tune import Setting, Trial, Tuning


def plain_tuning(tuning: Tuning) -> dict[str, Any]:
    """Return a tuning for a program; documented in docs/runtimes.md."""
    best = tuning.best
    return {
        "target": tuning.target,
        "place": tuning.place,
        "model": str(tuning.model),
        "chosen": _plain_setting(best.setting) if best else None,
        "file": str(tuning.best_file) if tuning.best_file else None,
        "default": _plain_setting(tuning.default),
        "speedup": tuning.speedup,
        "runtime_ratios": tuning.runtime_ratios,
        "trials": [_plain_trial(trial) for trial in tuning.trials],
        "refused": dict(tuning.refused),
    }


def _plain_setting(setting: Setting) -> dict[str, Any]:
    return {
        "format": setting.choice.format,
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


def describe_tuning(tuning: Tuning) -> list[Block]:
    """Return a tuning for a person: the fastest setting first."""
    best, blocks = tuning.best, list[Block]()
    if best is None:
        blocks.append("nothing is kept: every figure of this board is INVALID")
    else:
        unsure = best.row is not None and best.row.verdict.kind != "VALID"
        certainty = " as far as it can be told" if unsure else ""
        blocks.append(f"fastest{certainty}: {_setting_words(best.setting)}")
        if tuning.best_file not in (None, tuning.model):
            blocks.append(f"    with {words.path(tuning.best_file)}, the same model")
        blocks += _ratio_lines(tuning, best)
    fastest_us = tuning.trials[0].median_us
    title = f"{words.path(tuning.model)} on {tuning.place}"
    columns = ["runtime", "threads", "cores", "median", "times the fastest", "verdict"]
    blocks.append(
        Table(title, columns, [_trial_cells(one, fastest_us) for one in tuning.trials], ("cores",))
    )
    for trial in tuning.trials:
        for reason in trial.row.verdict.reasons if trial.row else ():
            blocks.append(Note(f"{_setting_words(trial.setting)}: {reason}"))
    for runtime, reason in tuning.refused.items():
        blocks.append(Note(f"{runtime} was left out: {reason}"))
    return blocks


def _ratio_lines(tuning: Tuning, best: Trial) -> list[str]:
    lines = []
    if best.setting == tuning.default:
        lines.append("    which kedge also uses without tuning")
    elif tuning.speedup is not None:
        default = _setting_words(tuning.default)
        lines.append(f"    {tuning.speedup:.2f} times as fast as untuned: {default}")
    for runtime, ratio in tuning.runtime_ratios.items():
        if runtime != best.setting.runtime:
            lines.append(f"    {ratio:.2f} times as fast as {runtime} at its best")
    return lines


def _trial_cells(trial: Trial, fastest_us: float) -> list[str]:
    setting, row = trial.setting, trial.row
    return [
        setting.runtime,
        str(setting.threads),
        ",".join(map(str, setting.cores)) or "all",
        words.duration(trial.median_us),
        f"{trial.median_us / fastest_us:.2f}",
        row.verdict.kind if row else "far behind",
    ]


def _setting_words(setting: Setting) -> str:
    threads = f"{setting.threads} thread{'s' if setting.threads > 1 else ''}"
    cores = f" on cores {','.join(map(str, setting.cores))}" if setting.cores else ""
    return f"{setting.runtime}, {threads}{cores}"
