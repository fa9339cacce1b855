"""The watch after a release: a sample of the boards is measured again, and compared with before."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from converters.errors import ConversionError
from device_agent.contract.codes import IntegrityError
from device_agent.contract.manifest import Manifest
from device_agent.contract.order import RELEASE
from device_agent.contract.release_state import AppState
from targets.device import Device, own_name
from targets.errors import TargetError
from targets.transport import DeadlineError, UnreachableError
from toolkit.errors import ToolkitError
from toolkit.fleet.acts import PROBE
from toolkit.fleet.connections import BoardConnections
from toolkit.fleet.journal import Journal
from toolkit.fleet.journal_file import translate_row_errors
from toolkit.fleet.policy import Policy
from toolkit.fleet.policy_file import parse_policy
from toolkit.fleet.project import FleetProject
from toolkit.fleet.shadow import GoldenVectors, ShadowModel, measure_in_shadow, shadow_model
from toolkit.fleet.states import CONFIRMED
from toolkit.fleet.transfer import base_model
from toolkit.judge.gates import (
    FAIL,
    INCONCLUSIVE,
    PASS,
    Evidence,
    GateResult,
    HealthAnswer,
    judge_gates,
    overall,
    strictest_limits,
)
from toolkit.judge.ratio import LEAST_PROCESSES, Ratio, compare_medians
from toolkit.judge.rule_of_three import boards_for_bound

#: Boards that are measured at the same time; the work is theirs, the host only waits.
_AT_ONCE = 16

SILENT = "unreachable"


@dataclass(frozen=True)
class CheckedRelease:
    """Release that should be active on a board, by the journal."""

    target: str
    app: str
    release: str
    """SHA-256 of the manifest."""
    policy: Policy
    """Policy of its newest rollout that was no rollback."""
    at_activation_us: tuple[float, ...] = ()
    """Median latency of each process that was measured before the activation, microseconds."""


@dataclass(frozen=True)
class ReleaseCheck:
    """Result of one board."""

    target: str
    app: str
    release: str
    """SHA-256 of the manifest that should be active."""
    verdict: str
    """`pass`, `fail`, `inconclusive` or `unreachable`."""
    reason: str = ""
    """Reason in words; empty where all is well."""
    hint: str = ""
    """Next step for the operator; empty where all is well, or no error says it."""
    gates: tuple[GateResult, ...] = ()
    drift: Ratio | None = None
    """Latency now over latency at the activation, with its interval; `None` where one of them was
    not measured."""
    now_us: tuple[float, ...] = ()
    """Median latency of each process now, microseconds."""


def releases_to_check(journal: Journal, names: Sequence[str]) -> list[CheckedRelease]:
    """Return what boards should run, with the figures of the time before its activation.

    Args:
        journal: Journal of the project.
        names: Names of targets.

    Raises:
        JournalError: The journal cannot be read.
    """
    lines = journal.rollouts()
    releases = {line.number: line.start.release for line in lines}
    policies = {
        line.start.release: line.start.policy
        for line in reversed(lines)
        if line.start.kind == RELEASE
    }
    confirmed: dict[tuple[str, str], CheckedRelease] = {}
    for line in lines:
        release = line.start.release
        policy = parse_policy(policies.get(release, line.start.policy), "the journal")
        for board in journal.states(line.number):
            key = (board.target, line.start.app)
            if board.target in names and board.state == CONFIRMED and key not in confirmed:
                confirmed[key] = CheckedRelease(*key, release, policy)
    figures: dict[tuple[str, str], tuple[float, ...]] = {}
    with translate_row_errors(journal.path):
        for row in journal.history():
            if row.body.get("step") == PROBE and row.evidence.get("after_us"):
                after_us = tuple(map(float, row.evidence["after_us"]))
                figures[releases[row.rollout], row.target] = after_us
    return [
        replace(entry, at_activation_us=figures.get((entry.release, entry.target), ()))
        for entry in confirmed.values()
    ]


def draw_sample(
    releases: Sequence[CheckedRelease], rate: float, seed: int | None = None
) -> list[CheckedRelease]:
    """Draw as many boards as bound the failure rate, by the rule of three; at most all.

    Args:
        releases: Releases that should be active on the boards.
        rate: Share of failing boards that is to be excluded, above 0 and below 1.
        seed: Seed of the draw; `None` for another draw each time.
    """
    count = min(len(releases), boards_for_bound(rate))
    return random.Random(seed).sample(list(releases), count)


def check_fleet(
    fleet: FleetProject,
    sample: Sequence[CheckedRelease],
    connections: BoardConnections,
    on_board: Callable[[ReleaseCheck], None],
    wheelhouse: Path | None = None,
) -> list[ReleaseCheck]:
    """Measure boards of a sample.

    Args:
        fleet: Project.
        sample: Boards with the releases that should be active there.
        connections: Connections to the boards.
        on_board: Called from several threads with each board when it is done.
        wheelhouse: Folder of wheels, where there is no network.

    Returns:
        Results in the order of the sample.
    """
    vectors = GoldenVectors()

    def visit(entry: CheckedRelease) -> ReleaseCheck:
        result = ReleaseCheck(entry.target, entry.app, entry.release, SILENT)
        try:
            with connections.open(entry.target, keep=False) as device:
                result = _check_board(fleet, entry, device, vectors, wheelhouse)
        except (UnreachableError, DeadlineError) as error:
            result = replace(result, reason=str(error), hint=error.hint)
        except (TargetError, IntegrityError, ConversionError, ToolkitError) as error:
            result = replace(result, verdict=FAIL, reason=str(error), hint=error.hint)
        on_board(result)
        return result

    with ThreadPoolExecutor(_AT_ONCE) as workers:
        return list(workers.map(visit, sample))


def keep_checks(journal: Journal, checks: Sequence[ReleaseCheck]) -> None:
    """Write results to the journal.

    Raises:
        LeaseError: A controller runs; nothing was kept.
        JournalError: It cannot be written.
    """
    journal.take_lease(own_name())
    for check in checks:
        journal.note("check", plain_check(check), check.target)


def plain_check(check: ReleaseCheck) -> dict[str, Any]:
    """Return a result as plain values."""
    evidence: dict[str, Any] = {"gates": [asdict(result) for result in check.gates]}
    if check.now_us:
        evidence["after_us"] = [round(value, 3) for value in check.now_us]
    if check.drift is not None:
        evidence["drift"] = check.drift.value
        evidence["drift_interval"] = list(check.drift.interval)
    return {
        "step": "check",
        "app": check.app,
        "release": check.release,
        "result": check.verdict,
        "reason": check.reason,
        "hint": check.hint,
        "evidence": evidence,
    }


def _check_board(
    fleet: FleetProject,
    entry: CheckedRelease,
    device: Device,
    vectors: GoldenVectors,
    wheelhouse: Path | None,
) -> ReleaseCheck:
    result = ReleaseCheck(entry.target, entry.app, entry.release, FAIL)
    app = device.releases.state().apps.get(entry.app)
    if app is None or app.current != entry.release:
        active = app.current[:12] if app is not None and app.current else "none"
        reason = f"the active release is {active}, not {entry.release[:12]}"
        hint = "Roll the release out again, or see who changed it: kedge fleet history --on "
        return replace(result, reason=reason, hint=hint + entry.target)
    bundle = fleet.releases.require(entry.release)
    manifest = bundle.manifest
    limits = strictest_limits(entry.policy.gates, manifest.gates)
    path = base_model(fleet.releases, entry.release, app.variant)
    if path is None:
        raise ToolkitError(
            f"the model of release {entry.release[:12]} is damaged in the project's folder",
            f"Check the disk of this computer, then try again: it is read anew from {bundle.path}.",
        )
    model = shadow_model(path)
    before = _previous_model(fleet, app, model)
    force = entry.policy.override_runtime
    evidence = measure_in_shadow(device, model, before, limits, vectors, wheelhouse, force)
    if before is None:
        evidence = _with_exempt(
            evidence, "latency_ratio", "there is no release before with another model"
        )
    gates = judge_gates(_with_health(evidence, device, manifest, limits), limits)
    now_us = evidence.after_us
    drift = _drift(entry, now_us, limits.get("latency_ratio", 1.1))
    verdict, reason = overall(gates), _reason(gates)
    if drift is not None and drift.interval[0] > limits.get("latency_ratio", float("inf")):
        verdict = FAIL
        slower = f"it is slower than at the activation: {drift.value:.3f} times"
        reason = "; ".join(filter(None, [slower, reason]))
    return replace(result, verdict=verdict, reason=reason, gates=gates, drift=drift, now_us=now_us)


def _with_health(
    evidence: Evidence, device: Device, manifest: Manifest, limits: Mapping[str, float]
) -> Evidence:
    if "health" not in limits:
        return evidence
    if not manifest.hooks.health or not device.target.hooks:
        return _with_exempt(evidence, "health", "no health command is allowed here")
    run = device.releases.health(manifest.app)
    return replace(evidence, health=HealthAnswer(run.exit_code, run.output, run.duration_ms))


def _with_exempt(evidence: Evidence, gate: str, reason: str) -> Evidence:
    return replace(evidence, exempt={**evidence.exempt, gate: reason})


def _previous_model(fleet: FleetProject, app: AppState, model: ShadowModel) -> ShadowModel | None:
    path = base_model(fleet.releases, app.previous, app.variant)
    if path is None:
        return None
    previous = shadow_model(path)
    is_other = previous.contents.sha256 != model.contents.sha256
    return previous if is_other and previous.contents.format == model.contents.format else None


def _drift(entry: CheckedRelease, now_us: tuple[float, ...], limit: float) -> Ratio | None:
    if min(len(entry.at_activation_us), len(now_us)) < LEAST_PROCESSES:
        return None
    return compare_medians(entry.at_activation_us, now_us, limit - 1)


def _reason(gates: Sequence[GateResult]) -> str:
    bad = [gate for gate in gates if gate.verdict in (FAIL, INCONCLUSIVE)]
    return "; ".join(f"gate {gate.name}: {gate.reason}: found {gate.figure}" for gate in bad)


def exit_code_of_checks(checks: Sequence[ReleaseCheck]) -> int:
    """Return 8 where a gate says no, 9 where one is inconclusive, 6 for silent boards, else 0."""
    verdicts = {check.verdict for check in checks}
    order = ((FAIL, 8), (INCONCLUSIVE, 9), (SILENT, 6), (PASS, 0))
    return next((code for verdict, code in order if verdict in verdicts), 0)
