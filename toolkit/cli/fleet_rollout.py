"""`kedge fleet plan`, `rollout`, `resume` and `rollback`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import interrupts, output
from toolkit.cli.fleet_watch import watch_rollout, wave_rows
from toolkit.cli.options import as_json, file_path, wheelhouse
from toolkit.cli.security_keys import note_touch
from toolkit.report import words
from toolkit.report.exit_code import EXIT_INTERRUPTED, EXIT_NOT_TRUSTED, EXIT_REFUSED

if TYPE_CHECKING:
    from toolkit.fleet.connections import BoardConnections
    from toolkit.fleet.journal import Journal
    from toolkit.fleet.policy import Policy
    from toolkit.fleet.project import FleetProject
    from toolkit.fleet.rollout import RolloutPlan
    from toolkit.fleet.survey import BoardSurvey

bundle_file = click.argument("bundle", type=file_path())

selection = click.option(
    "--to",
    "selection",
    required=True,
    help="Targets: NAME, A,B or LABEL=VALUE.",
)

policy_file = click.option(
    "--policy", type=file_path(), help="TOML file of waves, budgets and gates; safe without one."
)

accept = click.option(
    "--accept-no-reboot-revert",
    is_flag=True,
    help="Also take boards that go back after a reboot only when kedge connects again.",
)

sign_keys = click.option(
    "--sign",
    "keys",
    type=file_path(),
    multiple=True,
    required=True,
    help="Key that signs the order, or the .pub of a key in the SSH agent; may be repeated.",
)


@click.command("plan")
@bundle_file
@selection
@policy_file
@accept
@as_json
def plan_command(
    bundle: Path, selection: str, policy: Path | None, accept_no_reboot_revert: bool, as_json: bool
) -> int:
    """Show what a rollout would do: waves, bytes, and which boards would be refused, and why.

    Nothing is changed on any board. The exit code is 8 if a board would be refused, and 6 if one
    does not answer.

    \b
    kedge fleet plan detector.bundle --to site=north
    kedge fleet plan detector.bundle --to site=north --policy careful.toml --json
    """
    from toolkit.fleet.project import open_fleet

    fleet = open_fleet()
    with fleet.connections() as connections:
        planned = _plan(
            fleet, bundle, selection, _policy(policy, accept_no_reboot_revert), connections
        )
    if as_json:
        output.print_json(_plain_plan(planned))
    else:
        _show_plan(planned)
    if any(survey.refusals and survey.is_reachable for survey in planned.surveys):
        return EXIT_REFUSED
    return 0 if all(survey.is_reachable for survey in planned.surveys) else 6


@click.command("rollout")
@bundle_file
@selection
@policy_file
@sign_keys
@accept
@wheelhouse
@as_json
def rollout(
    bundle: Path,
    selection: str,
    policy: Path | None,
    keys: tuple[Path, ...],
    accept_no_reboot_revert: bool,
    wheelhouse: Path | None,
    as_json: bool,
) -> int:
    """Bring a release to boards in waves; stop by itself when the policy says so.

    The release is staged on all boards first. Then each wave is measured beside the active release,
    activated on trial, checked and confirmed. A board that nobody confirms goes back by itself.
    Ctrl-C pauses; `kedge fleet resume` goes on, also after this computer was switched off.

    The exit code is 0 if every board has the release, 8 if the rollout stopped or a board failed, 5
    if something was damaged, 9 if it paused, and 6 if boards did not answer.

    \b
    kedge fleet rollout detector.bundle --to site=north --sign ~/.ssh/id_ed25519
    kedge fleet rollout detector.bundle --to site=north --policy careful.toml --sign key --json
    """
    from toolkit.fleet.project import open_fleet

    fleet, rules = open_fleet(), _policy(policy, accept_no_reboot_revert)
    return _roll_out(fleet, bundle, selection, rules, keys, "release", wheelhouse, as_json)


@click.command("resume")
@click.argument("number", type=int, required=False)
@click.option("--without", metavar="A,B", default="", help="Boards to leave out from now on.")
@wheelhouse
@as_json
def resume(number: int | None, without: str, wheelhouse: Path | None, as_json: bool) -> int:
    """Go on with a rollout that paused, was interrupted, or whose controller died.

    The boards are asked first what they are. Without NUMBER it is the newest rollout that is not
    over. Boards whose gates were inconclusive are measured again, and boards that did not answer
    are tried again; of a rollout that is done, where NUMBER names it.

    \b
    kedge fleet resume
    kedge fleet resume 12 --without camera7,camera9
    """
    import time

    from targets.device import own_name
    from toolkit.fleet.project import open_fleet
    from toolkit.fleet.resume import find_resumable, skip_boards
    from toolkit.fleet.rollout import join_late_boards

    fleet = open_fleet()
    with fleet.connections() as connections, fleet.journal() as journal:
        journal.take_lease(own_name())
        line = find_resumable(journal, number)
        _outrun_other_controllers(fleet, journal, line.number, connections)
        names = [name.strip() for name in without.split(",") if name.strip()]
        skip_boards(journal, line.number, names, "the operator left it out", time.time())
        journal.wish(line.number, "resume", own_name())
        late = join_late_boards(fleet, journal, line.number, connections)
        if late:
            output.note(f"new boards join the rollout: {', '.join(late)}")
        output.note(f"rollout {line.number} of {line.start.app} goes on")
        return _drive(fleet, journal, line.number, connections, wheelhouse, as_json)


@click.command("rollback")
@click.argument("app", required=False)
@click.option("--to", "selection", help="Targets; those of the newest rollout if not given.")
@click.option("--release", "prefix", metavar="DIGEST", help="Begin of the digest to go back to.")
@click.option("--bundle", type=file_path(), help="Bundle to go back to, if the project has it not.")
@policy_file
@sign_keys
@accept
@wheelhouse
@as_json
def rollback(
    app: str | None,
    selection: str | None,
    prefix: str | None,
    bundle: Path | None,
    policy: Path | None,
    keys: tuple[Path, ...],
    accept_no_reboot_revert: bool,
    wheelhouse: Path | None,
    as_json: bool,
) -> int:
    """Take boards back to an older release, by a new signed order.

    Without --release or --bundle it is the release before that of the newest rollout of APP. Unless
    --policy says otherwise, all boards go at once, and only the health command is a gate. A release
    below the security floor of a board is refused there.

    \b
    kedge fleet rollback --sign ~/.ssh/id_ed25519
    kedge fleet rollback detector --release 4f2a --to site=north --sign ~/.ssh/id_ed25519
    """
    from toolkit.fleet.policy_file import read_policy
    from toolkit.fleet.project import open_fleet
    from toolkit.fleet.rollout import release_before, rollback_policy

    fleet = open_fleet()
    if bundle is None or selection is None:
        with fleet.journal() as journal:
            newest, release = release_before(journal.rollouts(), app, prefix)
        bundle = bundle or fleet.releases.require(release).path
        selection = selection or str(newest.start.facts["selection"])
    rules = rollback_policy(read_policy(policy) if policy else None, accept_no_reboot_revert)
    return _roll_out(fleet, bundle, selection, rules, keys, "rollback", wheelhouse, as_json)


def _roll_out(
    fleet: FleetProject,
    bundle: Path,
    selection: str,
    rules: Policy,
    keys: tuple[Path, ...],
    kind: str,
    wheelhouse: Path | None,
    as_json: bool,
) -> int:
    from targets.device import own_name
    from toolkit.fleet.rollout import begin_rollout, require_no_other

    with fleet.connections() as connections, fleet.journal() as journal:
        journal.take_lease(own_name())
        planned = _plan(fleet, bundle, selection, rules, connections, kind)
        require_no_other(journal, planned.bundle.manifest.app)
        if not as_json:
            _show_plan(planned)
        note_touch(keys)
        number = begin_rollout(journal, planned, keys)
        output.note(f"rollout {number} begins; Ctrl-C pauses it")
        return _drive(fleet, journal, number, connections, wheelhouse, as_json)


def _drive(
    fleet: FleetProject,
    journal: Journal,
    number: int,
    connections: BoardConnections,
    wheelhouse: Path | None,
    as_json: bool,
) -> int:
    from toolkit.fleet.rollout import RolloutRun, run_rollout

    boards = {line.target: (line.wave, line.state) for line in journal.states(number)}
    with interrupts.count_from_now() as count, watch_rollout(boards, as_json) as watch:
        run = RolloutRun(watch, lambda: count() > 0, wheelhouse)
        run_rollout(fleet, journal, number, connections, run)
    return _end(journal, number, count() > 0, as_json)


def _end(journal: Journal, number: int, was_interrupted: bool, as_json: bool) -> int:
    """Say how a rollout ended; return the exit code."""
    from toolkit.fleet.journal_reader import PAUSED, STOPPED
    from toolkit.fleet.verdict import exit_code_of_rollout

    line, boards = journal.rollout(number), [*journal.states(number)]
    code = exit_code_of_rollout(line, boards)
    if was_interrupted and line.status == PAUSED:
        code = EXIT_INTERRUPTED
    if as_json:
        plain = {
            "schema": 1,
            "rollout": number,
            "status": line.status,
            "reasons": list(line.reasons),
            "boards": dict(line.boards),
            "exit_code": code,
        }
        output.say(json.dumps(plain))
        return code
    counts = ", ".join(f"{count} {state}" for state, count in sorted(line.boards.items()))
    output.say(f"rollout {number} of {line.start.app} is {line.status}: {counts}")
    for reason in line.reasons:
        output.say(f"  {reason}")
    if line.status == PAUSED:
        output.note("  → Go on: kedge fleet resume. Or end it: kedge fleet stop.")
    elif line.status == STOPPED:
        output.note(
            "  → See what each board says: kedge fleet history. Take the others back: kedge fleet "
            "rollback."
        )
    return EXIT_NOT_TRUSTED if line.status == PAUSED and code == 0 else code


def _outrun_other_controllers(
    fleet: FleetProject, journal: Journal, number: int, connections: BoardConnections
) -> None:
    """Take an epoch that is higher than every one that a board obeys."""
    from targets.device import own_name
    from toolkit.fleet.status import read_board_states

    names = [line.target for line in journal.states(number)]
    reports = read_board_states([n for n in names if n in fleet.targets], connections)
    least = max((report.state.epoch for report in reports if report.state), default=0)
    if least >= journal.epoch:
        journal.take_lease(own_name(), least)


def _policy(path: Path | None, accept_no_reboot_revert: bool) -> Policy:
    from toolkit.fleet.policy_file import read_policy

    rules = read_policy(path)
    accepts = rules.accept_no_reboot_revert or accept_no_reboot_revert
    return replace(rules, accept_no_reboot_revert=accepts)


def _plan(
    fleet: FleetProject,
    path: Path,
    selection: str,
    rules: Policy,
    connections: BoardConnections,
    kind: str = "release",
) -> RolloutPlan:
    from toolkit.bundle.bundle_file import read_bundle
    from toolkit.fleet.rollout import plan_rollout

    bundle = read_bundle(path)
    count = 0
    with output.progress() as show:

        def on_board(_: BoardSurvey) -> None:
            nonlocal count
            count += 1
            show("look at the boards", count, 0)

        return plan_rollout(fleet, bundle, selection, rules, connections, on_board, kind)


def _show_plan(planned: RolloutPlan) -> None:
    from toolkit.judge.rule_of_three import failure_rate_bound

    manifest, surveys = planned.bundle.manifest, planned.surveys
    output.say(
        f"{manifest.app} {manifest.version} ({planned.bundle.digest[:12]}) to {len(surveys)} boards"
    )
    columns = ["wave", "boards", "stops at failures", "pauses at silent", "soak", "first"]
    output.table("", columns, wave_rows(planned.waves), ("first",))
    first = len(planned.waves[0].members) if planned.waves else 0
    if first:
        bound = failure_rate_bound(first)
        output.say(
            f"{first} boards of wave 1 without a failure prove only that fewer than "
            f"{words.percent(bound)} of all boards fail (95 % confidence)"
        )
    sent = sum(survey.sent_bytes for survey in surveys)
    full = sum(survey.full_bytes for survey in surveys)
    output.say(f"to send: {words.size(sent)}, without deltas and compression {words.size(full)}")
    for note in sorted({note for survey in surveys for note in survey.notes}):
        output.say(note)
    for survey in surveys:
        for refusal in survey.refusals:
            what = "would be refused" if survey.is_reachable else "does not answer"
            output.say(f"{survey.target.name} {what}: {output.indent(refusal)}")


def _plain_plan(planned: RolloutPlan) -> dict[str, Any]:
    from toolkit.judge.rule_of_three import failure_rate_bound

    waves = {member.name: wave.number for wave in planned.waves for member in wave.members}
    first = len(planned.waves[0].members) if planned.waves else 0
    return {
        "schema": 1,
        "app": planned.bundle.manifest.app,
        "version": planned.bundle.manifest.version,
        "release": planned.bundle.digest,
        "fleet": planned.fleet,
        "proven_failure_rate": failure_rate_bound(first),
        "waves": [
            {
                "wave": wave.number,
                "boards": len(wave.members),
                "failure_budget": wave.budget,
                "unreachable_budget": wave.unreachable,
                "soak_s": wave.soak_s,
            }
            for wave in planned.waves
        ],
        "targets": [
            {
                "name": survey.target.name,
                "wave": waves.get(survey.target.name, 0),
                "variant": survey.member.variant,
                "reachable": survey.is_reachable,
                "refusals": list(survey.refusals),
                "full_bytes": survey.full_bytes,
                "sent_bytes": survey.sent_bytes,
                "notes": list(survey.notes),
            }
            for survey in planned.surveys
        ],
    }
