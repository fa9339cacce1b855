"""`kedge fleet plan`, and the plan that `kedge fleet rollout` shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import output
from toolkit.cli.completion import complete_targets
from toolkit.cli.fleet_watch import wave_rows
from toolkit.cli.options import as_json, file_path, force
from toolkit.report import words
from toolkit.report.exit_code import EXIT_REFUSED

if TYPE_CHECKING:
    from toolkit.fleet.connections import BoardConnections
    from toolkit.fleet.policy import Policy
    from toolkit.fleet.project import FleetProject
    from toolkit.fleet.rollout import RolloutPlan
    from toolkit.fleet.survey import BoardSurvey

#: Number of names of boards in a line.
_MOST_NAMES = 8

bundle_file = click.argument("bundle", type=file_path())

selection = click.option(
    "--to",
    "selection",
    required=True,
    shell_complete=complete_targets,
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


@click.command("plan")
@bundle_file
@selection
@policy_file
@accept
@force
@as_json
def plan_command(
    bundle: Path,
    selection: str,
    policy: Path | None,
    accept_no_reboot_revert: bool,
    force: bool,
    as_json: bool,
) -> int:
    """Show what a rollout would do: waves, bytes, and which boards would be refused, and why.

    Nothing is changed on any board. The exit code is 8 if a board would be refused, and 6 if one
    does not answer.

    \b
    kedge fleet plan detector.bundle --to site=north
    kedge fleet plan detector.bundle --to site=north --policy careful.toml --json
    """
    from toolkit.fleet.project import open_fleet

    fleet, rules = open_fleet(), effective_policy(policy, accept_no_reboot_revert, force)
    with fleet.connections() as connections:
        plan = make_plan(fleet, bundle, selection, rules, connections)
    if as_json:
        output.print_json(plain_plan(plan))
    else:
        show_plan(plan)
    if any(survey.refusals and survey.is_reachable for survey in plan.surveys):
        return EXIT_REFUSED
    return 0 if all(survey.is_reachable for survey in plan.surveys) else 6


def effective_policy(path: Path | None, accept_no_reboot_revert: bool, force: bool) -> Policy:
    """Read the policy of a rollout.

    Args:
        path: File of the policy; `None` for the safe default.
        accept_no_reboot_revert: Whether the operator accepts boards on which nothing reverts after
            a reboot; the policy may accept them, too.
        force: Whether the operator overrides refusals of runtimes by their release; the policy may
            override them, too.
    """
    from toolkit.fleet.policy_file import read_policy

    rules = read_policy(path)
    accepts = rules.accept_no_reboot_revert or accept_no_reboot_revert
    overrides = rules.override_runtime or force
    return replace(rules, accept_no_reboot_revert=accepts, override_runtime=overrides)


def make_plan(
    fleet: FleetProject,
    path: Path,
    selection: str,
    rules: Policy,
    connections: BoardConnections,
    kind: str = "release",
) -> RolloutPlan:
    """Look at the boards, show how many answered, and warn of refusals that are overridden.

    Args:
        fleet: Project.
        path: File of the bundle.
        selection: Targets: NAME, A,B or LABEL=VALUE.
        rules: Policy.
        connections: Connections to the boards.
        kind: `release` or `rollback`.
    """
    from toolkit.bundle.bundle_file import read_bundle
    from toolkit.fleet.rollout import plan_rollout

    bundle = read_bundle(path)
    count = 0
    with output.progress() as show:

        def on_board(_: BoardSurvey) -> None:
            nonlocal count
            count += 1
            show("look at the boards", count, 0)

        plan = plan_rollout(fleet, bundle, selection, rules, connections, on_board, kind)
    for refusal, names in _boards_by_text((each.overridden, each) for each in plan.surveys):
        output.warn(f"{names}: --force overrides: {output.indent(refusal)}")
    return plan


def show_plan(plan: RolloutPlan) -> None:
    """Print a plan for a person."""
    manifest, surveys = plan.bundle.manifest, plan.surveys
    output.say(
        f"{manifest.app} {manifest.version} ({plan.bundle.digest[:12]}) to "
        f"{words.count_of('board', len(surveys))}"
    )
    columns = ["wave", "boards", "stops at failures", "pauses at silent", "soak", "first"]
    output.table("", columns, wave_rows(plan.waves), ("first",))
    if any(not survey.refusals for survey in surveys):
        output.say(_proof_of_first_wave(plan))
    sent = sum(survey.sent_bytes for survey in surveys)
    full = sum(survey.full_bytes for survey in surveys)
    output.say(f"to send: {words.size(sent)}, without deltas and compression {words.size(full)}")
    for survey_note, names in _boards_by_text((each.notes, each) for each in surveys):
        output.say(f"{survey_note} ({names})")
    for is_reachable, what in ((True, "would be refused"), (False, "did not answer")):
        group = (each for each in surveys if each.is_reachable == is_reachable)
        for refusal, names in _boards_by_text((each.refusals, each) for each in group):
            output.say(f"{names} {what}: {output.indent(refusal)}")
    for hint, names in _boards_by_text(
        ([each.hint] if each.hint else [], each) for each in surveys
    ):
        output.say(f"  → {names}: {output.indent(hint)}")


def _proof_of_first_wave(plan: RolloutPlan) -> str:
    """Return the sentence about what the first wave says of the boards after it."""
    from toolkit.judge.rule_of_three import failure_rate_bound

    first = len(plan.waves[0].members)
    if len(plan.waves) == 1:
        return "All boards are in wave 1: no board tries the release before the others."
    return (
        f"If {words.count_of('board', first)} of wave 1 {'work' if first > 1 else 'works'}, "
        f"that proves only that less than {words.percent(failure_rate_bound(first))} of all boards "
        "fail (95 % confidence)."
    )


def _boards_by_text(
    texts: Iterable[tuple[Sequence[str], BoardSurvey]],
) -> list[tuple[str, str]]:
    """Return each text once, with the boards that it concerns: the first names and a number."""
    boards: dict[str, list[str]] = {}
    for lines, survey in texts:
        for line in lines:
            boards.setdefault(line, []).append(survey.target.name)
    groups = []
    for line, names in boards.items():
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        groups.append((line, ", ".join(names[:_MOST_NAMES]) + more))
    return groups


def plain_plan(plan: RolloutPlan) -> dict[str, Any]:
    """Return a plan as plain values for `--json`."""
    from toolkit.judge.rule_of_three import failure_rate_bound

    waves = {member.name: wave.number for wave in plan.waves for member in wave.members}
    first = len(plan.waves[0].members) if plan.waves else 0
    return {
        "schema": 1,
        "app": plan.bundle.manifest.app,
        "version": plan.bundle.manifest.version,
        "release": plan.bundle.digest,
        "fleet": plan.fleet,
        "proven_failure_rate": failure_rate_bound(first),
        "waves": [
            {
                "wave": wave.number,
                "boards": len(wave.members),
                "failure_budget": wave.budget,
                "unreachable_budget": wave.unreachable,
                "soak_s": wave.soak_s,
            }
            for wave in plan.waves
        ],
        "targets": [
            {
                "name": survey.target.name,
                "wave": waves.get(survey.target.name, 0),
                "variant": survey.member.variant,
                "reachable": survey.is_reachable,
                "refusals": list(survey.refusals),
                "overridden": list(survey.overridden),
                "cause": survey.cause,
                "hint": survey.hint,
                "full_bytes": survey.full_bytes,
                "sent_bytes": survey.sent_bytes,
                "notes": list(survey.notes),
            }
            for survey in plan.surveys
        ],
    }
