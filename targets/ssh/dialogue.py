"""One round of keyboard-interactive login: the server asks a person in its own words."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence

import paramiko

from targets.login_words import advice_on
from targets.ssh.connection import Connection
from targets.ssh.route import SshServer
from targets.ssh.secrets import SECRETS, NobodyAnswersError, Question

#: Longest wait for a person to type; sshd itself hangs up after two minutes.
TYPING_TIMEOUT_S = 120.0


class Dialogue:
    """One keyboard-interactive round.

    paramiko answers on a thread of its own; the person is asked on the caller's, where Ctrl-C
    arrives and the terminal is put in order again.
    """

    def __init__(
        self, transport: Connection, server: SshServer, on_reply: Callable[[], None]
    ) -> None:
        """Prepare a round.

        Args:
            transport: Connection to the server.
            server: Server that asks.
            on_reply: Called when a person has answered, or their answer was known.
        """
        self._transport = transport
        self._server = server
        self._on_reply = on_reply
        self._questions: queue.Queue[tuple[Question, bool] | None] = queue.Queue()
        self._replies: queue.Queue[str] = queue.Queue()
        self._outcome: list[Sequence[str] | BaseException] = []
        self.answers: dict[Question, str] = {}

    def act(self) -> Sequence[str]:
        """Hand the questions to the person, and the answers to the server.

        Returns:
            Methods to go on with; empty when the login is complete.

        Raises:
            NobodyAnswersError: Nobody can be asked.
            paramiko.SSHException: The server refuses the answers, or the connection broke.
        """
        transport = self._transport
        usual_timeout_s, transport.auth_timeout = transport.auth_timeout, TYPING_TIMEOUT_S
        worker = threading.Thread(target=self._attempt, daemon=True)
        worker.start()
        no_answer: NobodyAnswersError | None = None
        try:
            while (prompt := self._questions.get()) is not None:
                question, echo = prompt
                reply = ""
                try:
                    if no_answer is None:
                        reply = SECRETS.answer(question, hidden=not echo)
                        self._on_reply()
                except NobodyAnswersError as error:
                    no_answer = error
                self.answers[question] = reply
                self._replies.put(reply)
        except BaseException:
            self._replies.put("")
            transport.close()  # so that the worker ends, too
            raise
        finally:
            transport.auth_timeout = usual_timeout_s
        worker.join()
        if no_answer:
            raise no_answer
        outcome = self._outcome[0]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def _attempt(self) -> None:
        try:
            methods = self._transport.auth_interactive(self._server.user, self._handle)
            self._outcome.append(list(methods))
        except BaseException as error:
            self._outcome.append(error)
        finally:
            self._questions.put(None)

    def _handle(
        self, title: str, instructions: str, prompts: Sequence[tuple[str, bool]]
    ) -> list[str]:
        server, answers = self._server, []
        words = "\n".join([title, instructions, *(prompt for prompt, _ in prompts)])
        if advice_on(words):  # such as a password that has expired
            self._transport.banner += f"{words}\n".encode()
        who = f"{server.user} on {server.name} ({server.place})"
        for prompt, echo in prompts:
            texts = [text for text in (title, instructions, prompt) if text.strip()]
            self._questions.put((Question("\n".join(texts), who), bool(echo)))
            title = instructions = ""
            try:
                answers.append(self._replies.get(timeout=TYPING_TIMEOUT_S))
            except queue.Empty:
                raise paramiko.SSHException(
                    f"nobody answered within {TYPING_TIMEOUT_S:.0f} s"
                ) from None
        return answers
