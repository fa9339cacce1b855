"""`kedge fleet rollout`, `resume` and `rollback`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.cli import interrupts, output
from toolkit.cli.completion import complete_targets
from toolkit.cli.fleet_plan import (
    accept,
    bundle_file,
    effective_policy,
    make_plan,
    policy_file,
    selection,
    show_plan,
)
from toolkit.cli.fleet_watch import watch_rollout
from toolkit.cli.options import as_json, file_path, force, wheelhouse
from toolkit.cli.report_files import report_files, write_reports
from toolkit.cli.security_keys import note_touch
from toolkit.report.exit_code import EXIT_INTERRUPTED, EXIT_NOT_TRUSTED

if TYPE_CHECKING:
    from toolkit.fleet.connections import BoardConnections
    from toolkit.fleet.journal import Journal
    from toolkit.fleet.policy import Policy
    from toolkit.fleet.project import FleetProject
    from toolkit.fleet.rollout import RolloutPlan

sign_keys = click.option(
    "--sign",
    "keys",
    type=file_path(),
    multiple=True,
    required=True,
    help="Key that signs the order, or the .pub of a key in the SSH agent; may be repeated.",
)


@click.command("rollout")
@bundle_file
@selection
@policy_file
@sign_keys
@accept
@force
@wheelhouse
@report_files
@as_json
def rollout(
    bundle: Path,
    selection: str,
    policy: Path | None,
    keys: tuple[Path, ...],
    accept_no_reboot_revert: bool,
    force: bool,
    wheelhouse: Path | None,
    reports: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Bring a release to boards in waves; stop by itself when the policy says so.

    The release is staged on all boards first. Then each wave is measured beside the active release,
    activated on trial, checked and confirmed. A board that nobody confirms goes back by itself.
    Ctrl-C pauses; `kedge fleet resume` goes on, also after this computer was switched off.

    The exit code is 0 if every board has the release, 8 if the rollout stopped or a board failed or
    was refused, 5 if something was damaged, 9 if it paused, and 6 if boards did not answer. Where
    no board would take the release, nothing begins.

    \b
    kedge fleet rollout detector.bundle --to site=north --sign ~/.ssh/id_ed25519
    kedge fleet rollout detector.bundle --to site=north --policy careful.toml --sign key --json
    kedge fleet rollout detector.bundle --to site=north --sign key --report rollout.html
    """
    from toolkit.fleet.project import open_fleet

    fleet, rules = open_fleet(), effective_policy(policy, accept_no_reboot_revert, force)
    code = _roll_out(fleet, bundle, selection, rules, keys, "release", wheelhouse, as_json)
    _report_newest(fleet, reports)
    return code


def _report_newest(fleet: FleetProject, reports: Sequence[Path]) -> None:
    """Write the report of the newest rollout; none if nothing ever began."""
    from toolkit.report.cases import cases_of_rollout
    from toolkit.report.page.build import build_page
    from toolkit.report.rollouts import read_rollouts

    if not reports:
        return
    with fleet.journal() as journal:
        numbers = [line.number for line in journal.rollouts()[:1]]
    rollouts = read_rollouts(fleet.inventory.path.parent, numbers)
    write_reports(
        reports,
        "kedge fleet rollout",
        lambda: [case for rollout in rollouts for case in cases_of_rollout(rollout)],
        lambda: build_page((), (), rollouts),
    )


@click.command("resume")
@click.argument("number", type=int, required=False)
@click.option("--without", metavar="A,B", default="", help="Boards to leave out from now on.")
@wheelhouse
@as_json
def resume(number: int | None, without: str, wheelhouse: Path | None, as_json: bool) -> int:
    """Go on with a rollout that paused, was interrupted, or whose controller died.

    The boards first report what they run. Without NUMBER it is the newest rollout that is not
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
@click.option(
    "--to",
    "selection",
    shell_complete=complete_targets,
    help="Targets; those of the newest rollout if not given.",
)
@click.option("--release", "prefix", metavar="DIGEST", help="Begin of the digest to go back to.")
@click.option("--bundle", type=file_path(), help="Bundle to go back to, if the project has it not.")
@policy_file
@sign_keys
@accept
@force
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
    force: bool,
    wheelhouse: Path | None,
    as_json: bool,
) -> int:
    """Take boards back to an older release, by a new signed order.

    Without --release or --bundle it is the release before that of the newest rollout of APP; a
    release whose rollout was stopped is passed over. Unless --policy says otherwise, all boards go
    at once, and only the health command is a gate. Boards without a revert after a reboot take part
    if that rollout accepted them. A release below the security floor of a board is refused there.

    \b
    kedge fleet rollback --sign ~/.ssh/id_ed25519
    kedge fleet rollback detector --release 4f2a --to site=north --sign ~/.ssh/id_ed25519
    """
    from toolkit.fleet.policy_file import read_policy
    from toolkit.fleet.project import open_fleet
    from toolkit.fleet.rollback import (
        newest_rollout,
        release_before,
        rollback_policy,
        selection_of,
    )

    fleet = open_fleet()
    if bundle is not None:
        app = _app_of(bundle, app)
    with fleet.journal() as journal:
        lines = journal.rollouts()
    newest = newest_rollout(lines, app)
    if bundle is None:
        newest, release = release_before(lines, app, prefix)
        bundle = fleet.releases.require(release).path
    if selection is None:
        selection = selection_of(newest)
    own_policy = read_policy(policy) if policy else None
    rules = rollback_policy(own_policy, accept_no_reboot_revert, force, newest)
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
    from toolkit.bundle.signing import require_key_file
    from toolkit.fleet.rollout import begin_rollout, require_no_other
    from toolkit.fleet.verdict import exit_code_of_refusals

    for key in keys:
        require_key_file(key)
    with fleet.connections() as connections, fleet.journal() as journal:
        journal.take_lease(own_name())
        plan = make_plan(fleet, bundle, selection, rules, connections, kind)
        require_no_other(journal, plan.bundle.manifest.app)
        if not as_json:
            show_plan(plan)
        refused = exit_code_of_refusals(plan.surveys)
        if refused:
            return _end_refused(plan, refused, as_json)
        note_touch(keys)
        number = begin_rollout(journal, plan, keys)
        output.note(f"rollout {number} begins; Ctrl-C pauses it")
        return _drive(fleet, journal, number, connections, wheelhouse, as_json)


def _app_of(bundle: Path, app: str | None) -> str:
    """Return the application of a bundle.

    Raises:
        ToolkitError: The operator names another one.
    """
    from toolkit.bundle.bundle_file import read_bundle
    from toolkit.errors import ToolkitError

    own = read_bundle(bundle).manifest.app
    if app not in (None, own):
        raise ToolkitError(
            f"{bundle} is a release of {own}, not of {app}", "Name the bundle or the application."
        )
    return own


def _end_refused(plan: RolloutPlan, code: int, as_json: bool) -> int:
    """Say that nothing began, since no board takes part; return the exit code."""
    if as_json:
        reasons = [
            f"{survey.target.name}: {refusal}"
            for survey in plan.surveys
            for refusal in survey.refusals
        ]
        plain = {"schema": 1, "rollout": None, "status": "refused", "reasons": reasons}
        output.say(json.dumps({**plain, "boards": {}, "exit_code": code}))
        return code
    output.say(f"no board takes the {plan.kind}: nothing began")
    return code


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
    from toolkit.fleet.states import CONFIRMED
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
    elif code != 0:
        hint = f"  → See what each board says: kedge fleet history {number}."
        if line.status == STOPPED and line.boards.get(CONFIRMED):
            hint += " Take the confirmed boards back: kedge fleet rollback --sign KEY."
        output.note(hint)
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
