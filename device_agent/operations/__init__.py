"""The operations of the agent, each a function from a call to an answer."""
