"""What only a person knows: passphrases, passwords, codes.

They are kept in memory, so that each is asked for once a process, and nowhere else: not in a file,
not in a log, not in a message.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

Ask = Callable[[str, bool], str | None]
"""Asks a person: (question, whether the answer must not be seen) to the answer; `None` when nobody
is there."""

MOST_TRIES = 3  # as ssh(1)'s NumberOfPasswordPrompts


class NobodyAnswersError(Exception):
    """Nobody is there to be asked."""


class Secrets:
    """The person's answers."""

    def __init__(self) -> None:
        self.one_at_a_time = threading.RLock()
        """Held from a question until its answer has proved right, so that two boards that are
        logged in to at once do not ask the same thing twice."""
        self._ask: Ask | None = None
        self._right_answers: dict[str, str] = {}

    def ask_with(self, ask: Ask | None) -> None:
        """Set how the person is asked; answers to an earlier function are forgotten."""
        self._ask = ask
        self._right_answers.clear()

    def answer(self, question: str, hidden: bool = True) -> str:
        """Return the right answer if it is known, else ask; empty when the person passes.

        Raises:
            NobodyAnswersError: Nobody can be asked; go on without the answer.
        """
        if question in self._right_answers:
            return self._right_answers[question]
        reply = self._ask(question, hidden) if self._ask else None
        if reply is None:
            raise NobodyAnswersError
        return reply

    def keep(self, question: str, answer: str) -> None:
        """Remember an answer that proved right."""
        self._right_answers[question] = answer

    def forget(self, question: str) -> bool:
        """Forget an answer that is no longer right; tell whether there was one."""
        return self._right_answers.pop(question, None) is not None


SECRETS = Secrets()
"""Answers that the person gave to this process."""
