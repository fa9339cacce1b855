"""Time of each operator; a board that cannot measure it does not spoil the other figures."""

from __future__ import annotations

from converters.formats import FORMATS
from converters.model_file import ModelFile
from device_agent.contract.op_times import OpTimes
from targets.agent_client import AgentError
from targets.device import Device
from targets.staged_file import StagedFile
from toolkit.judge.op_times import label_steps

#: Longest time for which a profile runs the model; it ends after a hundred runs, too.
LONGEST_PROFILE_S = 3.0


def ask_op_times(device: Device, model: StagedFile, contents: ModelFile) -> OpTimes:
    """Measure the time of each operator; where that fails, return the reason.

    Args:
        device: Board, with its runtime prepared.
        model: The model on it.
        contents: The model's file.
    """
    try:
        times = device.jobs.profile(model, LONGEST_PROFILE_S)
        return label_steps(times, FORMATS[contents.format].operator_works(contents.path))
    except AgentError as error:
        return OpTimes(reason=str(error).splitlines()[0])
