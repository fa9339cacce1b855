"""The time of each operator, asked of a board after a measurement that it must not cost."""

from __future__ import annotations

from device_agent.contract.op_times import OpTimes
from targets.agent_client import AgentError
from targets.device import Device, Staged

#: A profile runs the model for so long, or a hundred times.
LONGEST_PROFILE_S = 3.0


def ask_op_times(device: Device, model: Staged) -> OpTimes:
    """Ask a board; where it fails, what was measured before stands, and the reason is told."""
    try:
        return device.profile(model, LONGEST_PROFILE_S)
    except AgentError as error:
        return OpTimes(reason=str(error).splitlines()[0])
