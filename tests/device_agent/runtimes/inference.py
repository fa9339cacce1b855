"""Inference through a real agent, whatever the runtime."""

from collections.abc import Callable
from typing import Any

import numpy as np

from targets.agent_client import AgentClient
from tests.device_agent.agents import put

Values = dict[str, np.ndarray[Any, Any]]
#: Sends a job: client, operation, content of the model, more fields.
Job = Callable[..., dict[str, Any]]


def infer_by(job: Job, client: AgentClient, content: bytes, values: Values) -> Values:
    """Return the outputs of a model by name.

    Args:
        job: Job of the runtime.
        client: The agent.
        content: Content of the model.
        values: Samples of each input.
    """
    inputs = [
        {"name": name, "dtype": own.dtype.name, "sha256": put(client, own.tobytes())}
        for name, own in values.items()
    ]
    answer = job(client, "infer", content, inputs=inputs)
    return {
        entry["name"]: np.frombuffer(client.get(entry["sha256"]), entry["dtype"]).reshape(
            entry["shape"]
        )
        for entry in answer["outputs"]
    }
