"""Whether a board takes part in a rollout: is it enrolled, and does a variant fit it."""

from __future__ import annotations

from device_agent.contract.manifest import Manifest
from device_agent.contract.release_state import BoardReleases
from targets.device import Device
from targets.runtimes.no_runtime import NoRuntimeError
from targets.runtimes.release import RuntimeChoice
from toolkit.bundle.choice import BoardAbility, VariantChoice, choose_variant
from toolkit.fleet.policy import Policy


def enrolment_refusals(state: BoardReleases, fleet: str, policy: Policy) -> tuple[str, ...]:
    """Return why a board cannot take signed releases of a fleet; empty where it can.

    Args:
        state: State of the board as it reports it.
        fleet: Name of the fleet of the order; empty for any.
        policy: Policy of the rollout.
    """
    reasons = []
    if not state.verifier:
        reasons.append(f"it cannot check signatures: {state.verifier_absence or 'no ssh-keygen'}")
    if not state.root_version:
        reasons.append(
            "it trusts nobody who signs releases (kedge target trust NAME --signers FILE)"
        )
    elif fleet and state.fleet != fleet:
        reasons.append(f"it belongs to the fleet {state.fleet}, the order is for {fleet}")
    if not state.reboot_recovery and not policy.accept_no_reboot_revert:
        reasons.append(
            "after a reboot during the trial nothing there goes back to the old release before "
            "kedge connects again: no cron, no systemd (--accept-no-reboot-revert accepts that)"
        )
    return tuple(reasons)


def choose_for(manifest: Manifest, device: Device, policy: Policy) -> VariantChoice:
    """Choose the variant of a release for a connected board.

    Args:
        manifest: Manifest of the release.
        device: Board.
        policy: Policy of the rollout.
    """
    runtimes: dict[str, RuntimeChoice | str] = {}
    for name in {variant.format for variant in manifest.variants}:
        try:
            runtimes[name] = device.runtime_for(name)
        except NoRuntimeError as error:
            runtimes[name] = str(error)
    ability = BoardAbility(device.facts, device.target.execution, runtimes)
    return choose_variant(manifest, ability, policy.override_runtime)
