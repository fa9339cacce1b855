"""`kedge fleet check`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.cli import output
from toolkit.cli.completion import complete_targets
from toolkit.cli.options import Duration, ShareRange, as_json, wheelhouse
from toolkit.report import words
from toolkit.report.exit_code import EXIT_REFUSED

if TYPE_CHECKING:
    from toolkit.fleet.check import ReleaseCheck

#: Longest pause between two checks: a week.
_LONGEST_S = 7 * 24 * 3600.0


@click.command("check")
@click.option(
    "--on",
    "--to",
    "selection",
    shell_complete=complete_targets,
    help="Targets: NAME, A,B or LABEL=VALUE; all if not given.",
)
@click.option(
    "--rate",
    type=ShareRange(0.0001, 0.5),
    default="5%",
    show_default=True,
    help="Share of failing boards to exclude: it decides how many boards are measured.",
)
@click.option("--every", "every_s", type=Duration(_LONGEST_S), help="Check again so often.")
@wheelhouse
@as_json
def check_command(
    selection: str | None,
    rate: float,
    every_s: float | None,
    wheelhouse: Path | None,
    as_json: bool,
) -> int:
    """Measure a sample of the boards again: health, outputs, and latency against the activation.

    The sample is drawn anew each time, and is as large as the rule of three wants it: 59 boards
    without a failure exclude that 5 % of all fail. Results are kept (`kedge fleet history`). The
    exit code is 8 if a gate of the policy says no; with --every, the check ends then, or at Ctrl-C.

    \b
    kedge fleet check
    kedge fleet check --on site=north --rate 1%
    kedge fleet check --every 1h --json
    """
    while True:
        code = _check_once(selection, rate, wheelhouse, as_json)
        if every_s is None or code == EXIT_REFUSED:
            return code
        try:
            time.sleep(every_s)
        except KeyboardInterrupt:  # between two checks nothing is unfinished
            return code


def _check_once(selection: str | None, rate: float, wheelhouse: Path | None, as_json: bool) -> int:
    from toolkit.errors import ToolkitError
    from toolkit.fleet.check import (
        check_fleet,
        draw_sample,
        exit_code_of_checks,
        keep_checks,
        plain_check,
        releases_to_check,
    )
    from toolkit.fleet.journal_file import LeaseError
    from toolkit.fleet.project import open_fleet

    fleet = open_fleet()
    names = [target.name for target in fleet.inventory.select(selection)] if selection else [
        *fleet.targets
    ]  # fmt: skip
    with fleet.connections() as connections, fleet.journal() as journal:
        releases = releases_to_check(journal, names)
        if not releases:
            raise ToolkitError(
                "no board has a confirmed release by the journal",
                "Roll one out: kedge fleet rollout BUNDLE --to SELECTOR --sign KEY",
            )
        sample = draw_sample(releases, rate)
        with output.progress() as show:
            checks = check_fleet(
                fleet,
                sample,
                connections,
                lambda board: show(f"{board.target}: done", 1, 1),
                wheelhouse,
            )
        try:
            keep_checks(journal, checks)
        except LeaseError as error:
            output.warn(f"the results are not kept: {error}")
    if as_json:
        entries = [{"name": each.target, **plain_check(each)} for each in checks]
        output.say(json.dumps({"schema": 1, "boards": len(releases), "targets": entries}))
    else:
        _show(checks, len(releases))
    return exit_code_of_checks(checks)


def _show(checks: list[ReleaseCheck], boards: int) -> None:
    from toolkit.judge.rule_of_three import failure_rate_bound

    rows = []
    for each in sorted(checks, key=lambda check: (check.target, check.app)):
        drift = "–"
        if each.drift is not None:
            low, high = each.drift.interval
            drift = f"{each.drift.value:.3f} ({low:.3f} to {high:.3f})"
        gates = ", ".join(f"{gate.name} {gate.verdict}" for gate in each.gates)
        rows.append([each.target, each.app, each.release[:12], each.verdict, drift, gates or "–"])
    columns = ["name", "app", "release", "verdict", "latency now / at activation", "gates"]
    output.table("", columns, rows, ("gates",))
    for each in checks:
        if each.reason:
            output.say(f"{each.target}: {output.indent(each.reason)}")
        if each.hint:
            output.say(f"  → {output.indent(each.hint)}")
    if all(each.verdict == "pass" for each in checks):
        bound = failure_rate_bound(len(checks))
        output.say(
            f"all boards were checked, and none fails: {boards}"
            if len(checks) == boards
            else f"{len(checks)} of {boards} boards without a failure prove that fewer than "
            f"{words.percent(bound)} of all fail (95 %)"
        )
