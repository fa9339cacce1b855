"""Boards whose answers are of the right form, and of any meaning."""

import random

from toolkit.fleet.acts import RESULTS, Act, ActOutcome
from toolkit.fleet.states import STATES


class LyingBoards:
    """Boards that answer anything at all, in any state."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self._random = random.Random(seed)
        self._acts: list[Act] = []

    def start(self, act: Act) -> None:
        self._acts.append(act)

    def collect(self, timeout_s: float) -> list[ActOutcome]:
        self.now += timeout_s
        choose = self._random.choice
        outcomes = [
            ActOutcome(
                act.target,
                act.step,
                choice := choose(RESULTS),
                fingerprint=choose(("", "a", "b", act.target)),
                reason=choice,
                state=choose(("", "", "", *STATES)),
                trial_s=choose((None, 0.0, 5.0, -7.0, 1e9)),
            )
            for act in self._acts
        ]
        self._acts.clear()
        return outcomes
