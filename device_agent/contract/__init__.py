"""What host and agent agree on: the only part of the agent that the host imports."""
