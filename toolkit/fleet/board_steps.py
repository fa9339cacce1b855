"""The steps of a rollout on one board. Each may be repeated: the board does it once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from device_agent.contract.codes import NO_SPACE
from device_agent.contract.manifest import Manifest, Variant
from device_agent.contract.release_state import AppState, BoardReleases
from targets.agent_client import AgentError
from targets.board_disk import BoardDiskError
from targets.device import Device
from toolkit.bundle.bundle_file import Bundle
from toolkit.bundle.delta_cache import DeltaCache
from toolkit.bundle.order_file import SignedOrder
from toolkit.fleet.acts import (
    ACTIVATE,
    CHECK,
    CONFIRM,
    HEALTH,
    INCONCLUSIVE,
    OBSERVE,
    PROBE,
    REFUSED,
    REVERT,
    STAGE,
    SUCCEEDED,
    UNFIT,
    Act,
    ActOutcome,
)
from toolkit.fleet.admittance import choose_for, enrolment_refusals
from toolkit.fleet.policy import PROBE_GATES, Policy
from toolkit.fleet.release_archive import ReleaseArchive
from toolkit.fleet.shadow import GoldenVectors, ShadowModel, measure_in_shadow, shadow_model
from toolkit.fleet.states import CONFIRMED, FAILED, REVERTED, TRIAL, board_state
from toolkit.fleet.transfer import ReleaseFiles, base_model, model_digest
from toolkit.judge.gates import (
    FAIL,
    PASS,
    Evidence,
    GateResult,
    HealthAnswer,
    judge_gates,
    overall,
    strictest_limits,
)

_RESULTS = {PASS: SUCCEEDED, FAIL: REFUSED}


@dataclass(frozen=True)
class RolloutWork:
    """All that the steps of one rollout share."""

    bundle: Bundle
    order: SignedOrder
    policy: Policy
    epoch: int
    """Epoch of the controller."""
    store: ReleaseArchive
    deltas: DeltaCache
    wheelhouse: Path | None = None
    """Folder of wheels, where there is no network."""
    kept_releases: frozenset[str] = frozenset()
    """Digests of the releases of all rollouts that are not over; no board may remove them."""
    vectors: GoldenVectors = field(default_factory=GoldenVectors)

    @property
    def manifest(self) -> Manifest:
        """Manifest of the release."""
        return self.bundle.manifest

    @property
    def limits(self) -> Mapping[str, float]:
        """Limit by name of a gate: the stricter one of policy and release."""
        return strictest_limits(self.policy.gates, self.manifest.gates)


def do_step(device: Device, act: Act, work: RolloutWork, reason: str = "") -> ActOutcome:
    """Do one step on a connected board.

    Args:
        device: Board.
        act: Step.
        work: Rollout.
        reason: Reason of a revert, in words.

    Raises:
        TargetError: The board cannot be reached any more, or refuses.
        IntegrityError: Something is damaged, here or on the board.
        ConversionError: The board's runtime cannot load the model.
    """
    if act.step == REVERT:
        return _revert(device, act, work, reason)
    return _STEPS[act.step](device, act, work)


def _stage(device: Device, act: Act, work: RolloutWork) -> ActOutcome:
    state = device.releases.state()
    reasons = enrolment_refusals(state, work.order.order.fleet, work.policy)
    if reasons:
        return ActOutcome(act.target, act.step, UNFIT, reason="; ".join(reasons))
    outcome = _finished_state(state, work)
    if outcome is not None:
        return replace(outcome, target=act.target, step=act.step)
    choice = choose_for(work.manifest, device, work.policy)
    if choice.variant is None:
        return ActOutcome(act.target, act.step, UNFIT, reason=choice.reason)
    app = _app(state, work)
    try:
        evidence = _bring(device, work, choice.variant, app)
    except BoardDiskError as error:
        if (
            error.code != NO_SPACE
            or not device.releases.collect(work.epoch, work.kept_releases).freed_bytes
        ):
            raise
        evidence = _bring(device, work, choice.variant, app)
    if choice.overridden:
        evidence["overridden"] = list(choice.overridden)
    return ActOutcome(act.target, act.step, SUCCEEDED, evidence=evidence)


def _bring(
    device: Device, work: RolloutWork, variant: Variant, app: AppState | None
) -> dict[str, Any]:
    """Send what is missing, and stage the release; return the evidence."""
    files = ReleaseFiles(work.store, work.deltas, work.bundle, variant)
    base = base_model(work.store, app.current, app.variant) if app is not None else None
    digests = device.releases.missing(files.sizes)
    sending = files.send(device, digests, base)
    device.releases.stage(
        work.bundle.manifest_text, work.bundle.signatures, variant.name, work.epoch
    )
    return {
        "variant": variant.name,
        "files": len(digests),
        "bytes": sending.full_bytes,
        "sent_bytes": sending.sent_bytes,
    }


def _finished_state(state: BoardReleases, work: RolloutWork) -> ActOutcome | None:
    """Return the outcome where the board needs nothing to be staged; else `None`."""
    app = _app(state, work)
    if app is None:
        return None
    order = work.order
    status = board_state(app, True, work.bundle.digest, order.digest, order.order.counter)
    if status in (TRIAL, CONFIRMED):
        trial_s = app.trial.remaining_s if app.trial is not None else None
        return ActOutcome("", "", SUCCEEDED, state=status, trial_s=trial_s)
    if app.trial is None and app.current == work.bundle.digest:
        evidence = {"note": "the board ran this release already"}
        return ActOutcome("", "", SUCCEEDED, state=CONFIRMED, evidence=evidence)
    return None


def _probe(device: Device, act: Act, work: RolloutWork) -> ActOutcome:
    limits = {name: limit for name, limit in work.limits.items() if name in PROBE_GATES}
    if not limits:
        return ActOutcome(act.target, act.step, SUCCEEDED)
    variant = _variant(device, work)
    new = shadow_model(work.store.unpack(work.bundle, variant) / variant.model)
    app = _app(device.releases.state(), work)
    active, exempt = _active_model(app, variant, work)
    evidence = measure_in_shadow(
        device, new, active, limits, work.vectors, work.wheelhouse, work.policy.override_runtime
    )
    exempt = {**evidence.exempt, **exempt}
    results = judge_gates(replace(evidence, exempt=exempt), limits)
    return _gate_outcome(act, results, evidence)


def _active_model(
    app: AppState | None, variant: Variant, work: RolloutWork
) -> tuple[ShadowModel | None, dict[str, str]]:
    """Return the model that the board runs, and why no latency ratio applies."""
    if app is None or not app.current:
        return None, {"latency_ratio": "the board had no release before"}
    path = base_model(work.store, app.current, app.variant)
    if path is None:  # nobody knows how fast it was: the gate stays inconclusive
        return None, {}
    active = shadow_model(path)
    if active.contents.sha256 == model_digest(variant):
        return None, {"latency_ratio": "the model is the one of the active release"}
    if active.contents.format != variant.format:
        return None, {"latency_ratio": "the active release has another format of model file"}
    return active, {}


def _activate(device: Device, act: Act, work: RolloutWork) -> ActOutcome:
    app = device.releases.activate(
        work.order.text,
        work.order.signatures,
        work.epoch,
        int(work.policy.trial_deadline_s),
        device.target.hooks,
    )
    order = work.order
    state = board_state(app, True, work.bundle.digest, order.digest, order.order.counter)
    trial_s = app.trial.remaining_s if app.trial is not None else None
    if state in (TRIAL, CONFIRMED):
        return ActOutcome(act.target, act.step, SUCCEEDED, state=state, trial_s=trial_s)
    return _gone_back(act, app)


def _health(device: Device, act: Act, work: RolloutWork) -> ActOutcome:
    before = _observe(device, act, work)
    if before.state != TRIAL:
        return before
    try:
        outcome = _judge_health(device, act, work)
    except AgentError:
        after = _observe(device, act, work)
        if after.state == TRIAL:
            raise
        return after
    after = _observe(device, act, work)  # the trial may have ended while the command ran
    return outcome if after.state == TRIAL else after


def _check(device: Device, act: Act, work: RolloutWork) -> ActOutcome:
    app = _app(device.releases.state(), work)
    if app is None or app.current != work.bundle.digest:
        active = app.current[:12] if app is not None and app.current else "none"
        reason = f"the active release is {active} now"
        cause = f"{CHECK}: other release"
        return ActOutcome(act.target, act.step, REFUSED, cause, reason, state=FAILED)
    return _judge_health(device, act, work)


def _judge_health(device: Device, act: Act, work: RolloutWork) -> ActOutcome:
    limits = {name: limit for name, limit in work.limits.items() if name == "health"}
    exempt, evidence = {}, Evidence()
    if not work.manifest.hooks.health:
        exempt["health"] = "the release has no health command"
    elif not device.target.hooks:
        exempt["health"] = "kedge.toml does not allow commands of releases on this target"
    elif limits:
        run = device.releases.health(work.manifest.app)
        evidence = Evidence(health=HealthAnswer(run.exit_code, run.output, run.duration_ms))
    return _gate_outcome(act, judge_gates(replace(evidence, exempt=exempt), limits), evidence)


def _confirm(device: Device, act: Act, work: RolloutWork) -> ActOutcome:
    release, order = work.bundle.digest, work.order.digest
    try:
        device.releases.confirm(work.manifest.app, release, order, work.epoch)
    except AgentError as error:
        outcome = _observe(device, act, work)
        if outcome.state == TRIAL:
            raise
        return replace(outcome, reason=outcome.reason or str(error))
    with suppress(AgentError, BoardDiskError):  # releases that nothing uses any more are noted
        device.releases.collect(work.epoch, work.kept_releases)
    return ActOutcome(act.target, act.step, SUCCEEDED)


def _revert(device: Device, act: Act, work: RolloutWork, reason: str) -> ActOutcome:
    app = _app(device.releases.state(), work)
    if app is None or (app.trial is None and app.current != work.bundle.digest):
        return ActOutcome(act.target, act.step, SUCCEEDED, state=REVERTED)
    words = reason or "the rollout was stopped"
    device.releases.revert(work.manifest.app, work.bundle.digest, words, work.epoch)
    return ActOutcome(act.target, act.step, SUCCEEDED)


def _observe(device: Device, act: Act, work: RolloutWork) -> ActOutcome:
    app, order = _app(device.releases.state(), work), work.order
    state = board_state(app, False, work.bundle.digest, order.digest, order.order.counter)
    if state == REVERTED and app is not None:
        return _gone_back(act, app)
    trial_s = app.trial.remaining_s if app is not None and app.trial is not None else None
    return ActOutcome(act.target, act.step, SUCCEEDED, state=state, trial_s=trial_s)


def _gone_back(act: Act, app: AppState) -> ActOutcome:
    reason = f"the board went back by itself: {app.last_reason or 'no reason is known'}"
    cause = f"{act.step}: went back"
    return ActOutcome(act.target, act.step, REFUSED, cause, reason, state=REVERTED)


def _gate_outcome(act: Act, results: tuple[GateResult, ...], evidence: Evidence) -> ActOutcome:
    verdict = overall(results)
    culprits = [result for result in results if result.verdict == verdict != PASS]
    reasons = [
        f"gate {result.name}: {result.reason}: found {result.figure}, the limit is {result.limit}"
        for result in culprits
    ]
    return ActOutcome(
        act.target,
        act.step,
        _RESULTS.get(verdict, INCONCLUSIVE),
        fingerprint=f"gate {culprits[0].name}" if culprits else "",
        reason="; ".join(reasons),
        evidence={"gates": [asdict(result) for result in results], **_figures(evidence)},
    )


def _figures(evidence: Evidence) -> dict[str, Any]:
    """Return the figures that a later check compares with."""
    figures = {
        "before_us": [round(value, 3) for value in evidence.before_us],
        "after_us": [round(value, 3) for value in evidence.after_us],
        "peak_memory_bytes": evidence.peak_memory_bytes,
        "highest_celsius": evidence.highest_celsius,
    }
    return {name: value for name, value in figures.items() if value}


def _variant(device: Device, work: RolloutWork) -> Variant:
    choice = choose_for(work.manifest, device, work.policy)
    assert choice.variant is not None, choice.reason  # it was staged
    return choice.variant


def _app(state: BoardReleases, work: RolloutWork) -> AppState | None:
    return state.apps.get(work.manifest.app)


_STEPS: Mapping[str, Callable[[Device, Act, RolloutWork], ActOutcome]] = {
    STAGE: _stage,
    PROBE: _probe,
    ACTIVATE: _activate,
    HEALTH: _health,
    CONFIRM: _confirm,
    CHECK: _check,
    OBSERVE: _observe,
}
