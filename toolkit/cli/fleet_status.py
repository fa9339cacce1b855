"""`kedge fleet status`, `history`, `pause` and `stop`."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from device_agent.contract.signed_text import time_text
from toolkit.cli import output
from toolkit.cli.completion import complete_targets
from toolkit.cli.options import as_json
from toolkit.report import words
from toolkit.report.exit_code import EXIT_REFUSED

if TYPE_CHECKING:
    from toolkit.fleet.chain import JournalRow
    from toolkit.fleet.connections import BoardConnections
    from toolkit.fleet.journal import Journal
    from toolkit.fleet.journal_records import RolloutLine
    from toolkit.fleet.project import FleetProject
    from toolkit.fleet.status import TargetStatus

#: Seconds between two looks of `--watch`.
_WATCH_S = 5.0

#: Rollouts in the table of a person.
_LATEST = 5


@click.command("status")
@click.option(
    "--on",
    "--to",
    "selection",
    shell_complete=complete_targets,
    help="Targets: NAME, A,B or LABEL=VALUE; all if not given.",
)
@click.option("--app", help="Only this application.")
@click.option("--offline", is_flag=True, help="Ask no board: show what the journal knows.")
@click.option("--watch", is_flag=True, help="Look again every 5 seconds, until Ctrl-C.")
@click.option("--metrics", is_flag=True, help="Print the text form of Prometheus.")
@as_json
def status(
    selection: str | None, app: str | None, offline: bool, watch: bool, metrics: bool, as_json: bool
) -> int:
    """Show what every target runs, what it should run, since when, and the last measurement.

    The exit code is 8 if a target runs another release than it should, and 6 if one does not
    answer.

    \b
    kedge fleet status
    kedge fleet status --on site=north --watch
    kedge fleet status --json
    kedge fleet status --metrics > /var/lib/node_exporter/kedge.prom
    """
    from toolkit.fleet.project import open_fleet

    if metrics and as_json:
        raise click.UsageError("choose one of --metrics and --json")
    fleet = open_fleet()
    with fleet.connections() as connections, fleet.journal() as journal:
        while True:
            statuses, rollouts = _look(fleet, journal, connections, selection, app, offline)
            if metrics:
                from toolkit.fleet.metrics import prometheus_text

                output.say(prometheus_text(statuses, rollouts).rstrip("\n"))
            elif as_json:
                output.print_json(_plain_status(statuses, rollouts))
            else:
                if watch and sys.stdout.isatty():
                    click.clear()
                _show_status(statuses, rollouts, offline)
                _show_interrupted(fleet, rollouts)
            if not watch:
                break
            try:
                time.sleep(_WATCH_S)
            except KeyboardInterrupt:
                break
    if any(each.drifts for each in statuses):
        return EXIT_REFUSED
    return 0 if offline or all(each.is_known for each in statuses) else 6


@click.command("history")
@click.argument("number", type=int, required=False)
@click.option(
    "--on", "target", shell_complete=complete_targets, help="Only what concerns this target."
)
@as_json
def history(number: int | None, target: str | None, as_json: bool) -> int:
    """Show who did what, when and on what evidence, and check that nothing was changed since.

    Without NUMBER and --on it lists the rollouts. The exit code is 5 if the chain of the journal is
    broken.

    \b
    kedge fleet history
    kedge fleet history 12
    kedge fleet history --on camera7 --json
    """
    from toolkit.fleet.project import open_fleet

    fleet = open_fleet()
    with fleet.journal() as journal:
        problems = journal.verify_chain()
        if number is None and target is None:
            lines = journal.rollouts()
            if as_json:
                output.print_json(
                    {
                        "schema": 1,
                        "rollouts": [_plain_rollout(line) for line in lines],
                        "chain": list(problems),
                    }
                )
            else:
                _show_rollouts(lines)
        else:
            if number is not None:
                journal.status(number)
            is_empty = True
            for row in journal.history(number or 0, target or ""):
                is_empty = False
                if as_json:
                    plain = {**asdict(row), "at": time_text(row.at)}
                    output.say(json.dumps(plain))
                else:
                    output.say(_row_line(row))
            if is_empty:
                output.note(f"no row of the journal concerns {target}")
    for problem in problems:
        output.note(output.color("error: ", fg="red", bold=True) + problem)
    if problems:
        output.note(
            "  → The journal was changed or damaged. Restore a backup (kedge fleet journal restore "
            "FILE), or rebuild it from the boards (kedge fleet journal rebuild)."
        )
        return 5
    if not as_json:
        output.note("the chain of the journal is whole")
    return 0


@click.command("pause")
@click.argument("number", type=int, required=False)
@click.option("--reason", default="", help="Reason, for the journal.")
def pause(number: int | None, reason: str) -> None:
    """Pause a running rollout: boards on trial come to an end, nothing else begins.

    Without NUMBER it is the newest rollout that is not over. It works from another terminal.

    \b
    kedge fleet pause
    kedge fleet pause 12 --reason "wait for the weekend"
    """
    from toolkit.fleet.lease import is_lease_free
    from toolkit.fleet.project import open_fleet

    number = _wish(number, "pause", reason)
    if is_lease_free(open_fleet().journal_path):
        output.note("  → No controller runs here, so nothing goes on before: kedge fleet resume.")


@click.command("stop")
@click.argument("number", type=int, required=False)
@click.option("--reason", default="", help="Reason, for the journal.")
def stop_command(number: int | None, reason: str) -> int:
    """Stop a rollout for good: boards on trial go back, confirmed ones keep the release.

    Without NUMBER it is the newest rollout that is not over. Where no controller runs, this command
    asks the boards itself.

    \b
    kedge fleet stop
    kedge fleet stop 12 --reason "wrong labels"
    """
    from targets.device import own_name
    from toolkit.fleet.journal_file import LeaseError
    from toolkit.fleet.journal_reader import STOPPED
    from toolkit.fleet.project import open_fleet
    from toolkit.fleet.rollout import RolloutRun, run_rollout

    _wish(number, "stop", reason)
    fleet = open_fleet()
    with fleet.connections() as connections, fleet.journal() as journal:
        line = next(
            (
                line
                for line in journal.rollouts()
                if number in (None, line.number) and line.status not in (STOPPED, "done")
            ),
            None,
        )
        if line is None:
            return 0
        try:
            journal.take_lease(own_name())
        except LeaseError:  # the controller that runs sees the wish within a second
            return 0
        run_rollout(fleet, journal, line.number, connections, RolloutRun(lambda _: None))
        output.say(f"rollout {line.number} of {line.start.app} is {journal.status(line.number)}")
    return 0


def _wish(number: int | None, wish: str, reason: str) -> int:
    """Write a wish of the operator; return the number of the rollout."""
    from targets.device import own_name
    from toolkit.errors import ToolkitError
    from toolkit.fleet.journal_reader import FINISHED, STOPPED
    from toolkit.fleet.project import open_fleet

    with open_fleet().journal() as journal:
        if number is None:
            lines = [each for each in journal.rollouts() if each.status not in (FINISHED, STOPPED)]
            if not lines:
                raise ToolkitError("every rollout is over", "kedge fleet history shows them.")
            number = lines[0].number
        journal.wish(number, wish, own_name(), reason)
    done = {"pause": "will pause", "stop": "will stop"}[wish]
    output.note(f"rollout {number} {done}")
    return number


def _look(
    fleet: FleetProject,
    journal: Journal,
    connections: BoardConnections,
    selection: str | None,
    app: str | None,
    offline: bool,
) -> tuple[list[TargetStatus], tuple[RolloutLine, ...]]:
    from toolkit.fleet.status import BoardReport, read_board_states, remember, statuses_of

    names = [target.name for target in fleet.inventory.select(selection)] if selection else [
        *fleet.targets
    ]  # fmt: skip
    if offline:
        reports = [BoardReport(name, answered=False) for name in names]
    else:
        with output.progress() as show:
            show(f"ask {words.count_of('board', len(names))}", 0, 0)
            reports = read_board_states(names, connections)
    return statuses_of(reports, remember(journal), app), journal.rollouts()


def _show_status(
    statuses: list[TargetStatus], rollouts: tuple[RolloutLine, ...], offline: bool
) -> None:
    rows = []
    for each in statuses:
        current = each.current[:12] or ("–" if each.is_known else "?")
        goal = each.wanted[:12] or "–"
        since = time_text(each.since)[:16].replace("T", " ") if each.since else "–"
        rows.append(
            [
                each.name,
                each.app or "–",
                f"{current} {each.version}".strip(),
                goal,
                since,
                _measurement_cell(each),
                each.rollout_state or "–",
                _note_on(each, offline),
            ]
        )
    columns = ["name", "app", "current", "wanted", "since", "last measurement", "rollout", ""]
    output.table("", columns, rows, ("last measurement", "since"))
    for each in statuses:
        if each.reason and (not each.is_known or each.drifts):
            output.note(f"{each.name}: {output.indent(each.reason)}")
        if each.hint:
            output.note(f"  → {output.indent(each.hint)}")
    open_lines = [line for line in rollouts if line.status not in ("done", "stopped")]
    if open_lines:
        _show_rollouts(tuple(open_lines))


def _note_on(status: TargetStatus, offline: bool) -> str:
    if offline:
        return "not asked"
    if not status.is_reachable:
        return "does not answer"
    if not status.is_known:
        return "cannot be read"
    if status.on_trial:
        return "on trial"
    return "drifts" if status.drifts else ""


def _show_interrupted(fleet: FleetProject, rollouts: tuple[RolloutLine, ...]) -> None:
    from toolkit.fleet.journal_reader import RUNNING, STOPPING
    from toolkit.fleet.lease import is_lease_free

    open_lines = [line for line in rollouts if line.status in (RUNNING, STOPPING)]
    if open_lines and is_lease_free(fleet.journal_path):
        for line in open_lines:
            output.note(f"rollout {line.number}: interrupted, no controller runs here")
        output.note("  → Go on: kedge fleet resume. Or end it: kedge fleet stop.")


def _measurement_cell(each: TargetStatus) -> str:
    measurement = each.last_measurement
    if not measurement:
        return "–"
    verdicts = {gate["verdict"] for gate in measurement["gates"]}
    worst = next((name for name in ("fail", "inconclusive", "pass") if name in verdicts), "none")
    return f"{worst} {time_text(measurement['at'])[:16].replace('T', ' ')}"


def _show_rollouts(lines: tuple[RolloutLine, ...]) -> None:
    rows = [
        [
            str(line.number),
            time_text(line.begun)[:16].replace("T", " "),
            f"{line.start.kind} {line.start.app} {line.start.facts.get('version', '')}".strip(),
            line.start.release[:12],
            line.start.operator,
            line.status,
            ", ".join(f"{count} {state}" for state, count in sorted(line.boards.items())),
        ]
        for line in lines
    ]
    columns = ["rollout", "begun (UTC)", "what", "release", "by", "status", "boards"]
    output.table("", columns, rows, ("by", "begun (UTC)"))
    for line in lines[:_LATEST]:
        for reason in line.reasons:
            output.note(f"rollout {line.number}: {reason}")


def _row_line(row: JournalRow) -> str:
    body = row.body
    parts = [f"{row.number:6}", time_text(row.at), f"{row.who:20}", row.kind]
    parts += [part for part in (row.target, str(body.get("step", ""))) if part]
    result = body.get("result") or body.get("state") or body.get("status") or body.get("wish")
    if result:
        parts.append(str(result))
    parts += [f"{gate['name']} {gate['verdict']} ({gate['figure']})" for gate in row.gates]
    if body.get("reason"):
        parts.append(output.indent(str(body["reason"])))
    reasons = body.get("reasons")
    parts += [str(reason) for reason in reasons] if isinstance(reasons, list) else []
    hint = body.get("hint") or row.evidence.get("hint")
    if hint:
        parts.append(f"→ {output.indent(str(hint))}")
    return "  ".join(parts)


def _plain_rollout(line: RolloutLine) -> dict[str, Any]:
    return {
        "number": line.number,
        "app": line.start.app,
        "release": line.start.release,
        "kind": line.start.kind,
        "version": line.start.facts.get("version", ""),
        "operator": line.start.operator,
        "begun": time_text(line.begun),
        "status": line.status,
        "reasons": list(line.reasons),
        "boards": dict(line.boards),
    }


def _plain_status(
    statuses: list[TargetStatus], rollouts: tuple[RolloutLine, ...]
) -> dict[str, Any]:
    targets = []
    for each in statuses:
        plain = {**asdict(each), "drifts": each.drifts}
        plain["since"] = time_text(each.since) if each.since else None
        plain["reachable"] = plain.pop("is_reachable")
        plain["known"] = plain.pop("is_known")
        if plain["last_measurement"]:
            plain["last_measurement"] = {
                **plain["last_measurement"],
                "at": time_text(plain["last_measurement"]["at"]),
            }
        targets.append(plain)
    return {
        "schema": 1,
        "targets": targets,
        "rollouts": [_plain_rollout(line) for line in rollouts],
    }
