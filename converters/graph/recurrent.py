"""Settings of recurrent nodes. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from converters.graph.node import RECURRENT_FUNCTIONS


@dataclass(frozen=True)
class Recurrence:
    """How a recurrent node goes over its sequence; the attributes of the node."""

    sequences: bool
    """Whether the node gives the state after every step, shape (steps, units), rather than the last
    one, shape (units,)."""
    backward: bool = False
    """Whether the node begins at the last step. Its sequences stay in the order of the input."""
    cell_function: str = "tanh"
    """Activation of the candidate and of the output of a cell, a name in `RECURRENT_FUNCTIONS`."""
    gate_function: str = "sigmoid"
    """Activation of the gates, a name in `RECURRENT_FUNCTIONS`."""

    @property
    def unknown_functions(self) -> tuple[str, ...]:
        """Names of the activations that recurrent nodes do not have."""
        names = (self.cell_function, self.gate_function)
        return tuple(name for name in names if name not in RECURRENT_FUNCTIONS)


def recurrent_shape(source: tuple[int, ...], units: int, recurrence: Recurrence) -> tuple[int, ...]:
    """Shape of the output of a recurrent node, without the batch axis.

    Args:
        source: Shape of its input, (steps, inputs).
        units: Number of units.
        recurrence: Settings of the node.
    """
    return (source[0], units) if recurrence.sequences else (units,)
