"""What only a person knows: passphrases, passwords, codes.

They are kept in memory, so that each is asked for once a process, and nowhere else: not in a file,
not in a log, not in a message.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

MOST_TRIES = 3  # as ssh(1)'s NumberOfPasswordPrompts


@dataclass(frozen=True)
class Question:
    """A question to a person; an answer to it never answers another one."""

    text: str
    """Words of the question, without a colon; of any signs where a server wrote them."""
    server: str = ""
    """Login and server that wrote the text and that gets the answer; empty where kedge asks."""


Ask = Callable[[Question, bool], str | None]
"""Asks a person: (question, whether the answer must not be seen) to the answer; `None` when nobody
is there."""

Warn = Callable[[str], None]
"""Shows a person what does not work as they may expect."""


class NobodyAnswersError(Exception):
    """Nobody is there to be asked."""


class Secrets:
    """The person's answers."""

    def __init__(self) -> None:
        self.one_at_a_time = threading.RLock()
        """Held from a question until its answer has proved right, so that two boards that are
        logged in to at once do not ask the same thing twice."""
        self._ask: Ask | None = None
        self._warn: Warn | None = None
        self._right_answers: dict[Question, str] = {}
        self._warnings: set[str] = set()

    def ask_with(self, ask: Ask | None, warn: Warn | None = None) -> None:
        """Set how the person is asked and warned; earlier answers and warnings are forgotten."""
        self._ask, self._warn = ask, warn
        self._right_answers.clear()
        self._warnings.clear()

    def warn_once(self, text: str) -> None:
        """Warn the person, unless this process has done so already."""
        if text not in self._warnings:
            self._warnings.add(text)
            if self._warn is not None:
                self._warn(text)

    def answer(self, question: Question, hidden: bool = True) -> str:
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

    def keep(self, question: Question, answer: str) -> None:
        """Remember an answer that proved right."""
        self._right_answers[question] = answer

    def forget(self, question: Question) -> bool:
        """Forget an answer that is no longer right; tell whether there was one."""
        return self._right_answers.pop(question, None) is not None


SECRETS = Secrets()
"""Answers that the person gave to this process."""
