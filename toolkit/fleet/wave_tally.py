"""What is counted of a wave while a rollout runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from toolkit.fleet.board import FleetBoard
from toolkit.fleet.policy import Policy
from toolkit.fleet.states import CONFIRMED, FAILURES, UNREACHABLE


@dataclass(slots=True)
class WaveTally:
    """Numbers of boards of one wave."""

    number: int
    """1 for the first wave."""
    soak_s: float
    size: int = 0
    budget: int = 1
    """Number of failed boards at which the rollout stops."""
    unreachable_budget: int = 1
    """Number of boards, unreachable past the deadline, at which the rollout pauses."""
    states: Counter[str] = field(default_factory=Counter)
    """Number of boards by state."""
    final: int = 0
    """Number of boards that are done with."""
    at_risk: int = 0
    """Number of boards on which the release was or may be active, and nobody knows yet whether it
    works."""
    checked: int = 0
    """Number of confirmed boards that were checked after the soak."""
    last_confirmed: float = 0.0
    """Seconds since 1970 of the last confirmation; 0 for none."""
    is_checking: bool = False
    """Whether the soak is over and the boards are checked."""

    @property
    def failures(self) -> int:
        """Number of failed boards."""
        return sum(self.states[state] for state in FAILURES)

    @property
    def unreachable(self) -> int:
        """Number of boards that were given up."""
        return self.states[UNREACHABLE]

    @property
    def room(self) -> int:
        """Number of boards on which the release may be activated now.

        Failed boards and boards at risk together never exceed the budget.
        """
        return self.budget - self.failures - self.at_risk

    @property
    def is_done(self) -> bool:
        """Whether every board is done with."""
        return self.final == self.size

    @property
    def is_checked(self) -> bool:
        """Whether every confirmed board was checked after the soak."""
        return self.checked >= self.states[CONFIRMED]

    def count(self, board: FleetBoard, number: int) -> None:
        """Add a board to the numbers, or remove it from them.

        Args:
            board: Board as it is now.
            number: 1 or -1.
        """
        self.states[board.state] += number
        self.final += number * board.is_final
        self.at_risk += number * board.is_at_risk
        self.checked += number * (board.is_checked and board.state == CONFIRMED)

    def resize(self, size: int, policy: Policy) -> None:
        """Set the number of boards, and the budgets that follow from it."""
        self.size = size
        self.budget = policy.failure_budget.boards(size)
        self.unreachable_budget = policy.unreachable.boards(size)
