"""Logs in to an SSH server: with keys first, then with what a person types."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Sequence

import paramiko

from targets.address import DEFAULT_PORT
from targets.ssh.keys import PassedOver, keys_for
from targets.ssh.route import Hop
from targets.ssh.secrets import MOST_TRIES, SECRETS, NobodyAnswersError
from targets.transport import LoginRefusedError

LOGIN_TIMEOUT_S = 20.0

#: A person may take so long to type; sshd itself hangs up after two minutes.
_TYPING_TIMEOUT_S = 120.0

_AUTH_FAILED = (paramiko.AuthenticationException, paramiko.SSHException)

Method = Callable[["_Login"], "Sequence[str] | None"]
"""Tries one way to log in: what is asked for next (nothing: logged in), or `None` for refused."""


def log_in(transport: paramiko.Transport, hop: Hop) -> None:
    """Log in on an open connection whose host key was checked.

    Raises:
        LoginRefusedError: The server refuses all that there is to offer.
    """
    transport.auth_timeout = LOGIN_TIMEOUT_S
    _Login(transport, hop).act()


class _Login:
    """One login, and what was tried in it."""

    def __init__(self, transport: paramiko.Transport, hop: Hop) -> None:
        self.transport = transport
        self.hop = hop
        self.tried: list[str] = []
        self.passed_over: list[PassedOver] = []
        self.nobody = False
        self.was_asked = False

    def act(self) -> None:
        left = self._methods()
        spent: set[str] = set()
        while left:
            for name, method in _METHODS.items():
                if name not in left or name in spent:
                    continue
                spent.add(name)
                after = method(self)
                if after is not None:
                    left = after
                    break
            else:
                raise self._refused(left)

    def _methods(self) -> Sequence[str]:
        """Ask what the server takes; some boards take everybody."""
        try:
            return list(self.transport.auth_none(self.hop.user))
        except paramiko.BadAuthenticationType as refused:
            return list(refused.allowed_types)

    def keys(self) -> Sequence[str] | None:
        with contextlib.closing(keys_for(self.hop, self.passed_over)) as keys:
            for name, key in keys:
                self.tried.append(name)
                try:
                    return list(self.transport.auth_publickey(self.hop.user, key))
                except _AUTH_FAILED as error:
                    if not self.transport.is_active():
                        raise self._cut(error) from error
        return None

    def password(self) -> Sequence[str] | None:
        """Ask for the password, unless the same was just asked for in the server's own words."""
        if self.was_asked:
            return None
        question = f"Password of {self.hop.user} on {self.hop.name}"
        with SECRETS.one_at_a_time:
            for _ in range(MOST_TRIES):
                try:
                    said = SECRETS.answer(question)
                except NobodyAnswersError:
                    self.nobody = True
                    return None
                if not said:
                    return None
                self._note("the password")
                try:
                    after = self.transport.auth_password(self.hop.user, said, fallback=False)
                except _AUTH_FAILED as error:
                    SECRETS.forget(question)
                    if not self.transport.is_active():
                        raise self._cut(error) from error
                    continue
                SECRETS.keep(question, said)
                return list(after)
        return None

    def questions(self) -> Sequence[str] | None:
        """Hand the server's own questions to the person (keyboard-interactive)."""
        with SECRETS.one_at_a_time:
            for _ in range(MOST_TRIES):
                dialogue = _Dialogue(self)
                try:
                    after = dialogue.act()
                except NobodyAnswersError:
                    self.nobody = True
                    return None
                except _AUTH_FAILED as error:
                    for question in dialogue.answers:
                        SECRETS.forget(question)
                    if not self.transport.is_active():
                        raise self._cut(error) from error
                    if not any(dialogue.answers.values()):
                        return None
                    continue
                # A code is good for one time; a password stays what it is.
                for question, said in dialogue.answers.items():
                    if "password" in question.lower():
                        SECRETS.keep(question, said)
                return after
        return None

    def note_asked(self) -> None:
        self.was_asked = True
        self._note("the answers to its questions")

    def _note(self, what: str) -> None:
        if what not in self.tried:
            self.tried.append(what)

    def _cut(self, error: Exception) -> LoginRefusedError:
        tried = len(self.tried)
        return LoginRefusedError(
            f"{self.hop.name} hung up on the login of {self.hop.user} after {tried} tries "
            f"({', '.join(self.tried)}): {error}",
            "If it allows few tries, name the right key: --identity KEY, or IdentityFile with "
            "IdentitiesOnly in ~/.ssh/config.",
        )

    def _refused(self, left: Sequence[str]) -> LoginRefusedError:
        hop, tried = self.hop, ", ".join(self.tried) or "no key at all"
        said = f"{hop.name} refused the login of {hop.user} with {tried}"
        said += "".join(f"; {one.why}" for one in self.passed_over)
        typed = {"password", "keyboard-interactive"} & set(left)
        if self.nobody and typed:
            said += "; it would take a password, and nobody can type it"
        locked = [one.path for one in self.passed_over if one.is_locked]
        if locked:
            hint = f"Load the key into an SSH agent first: ssh-add {locked[0]}"
        else:
            hint = f"Put your public key on the board: {_copy_id(hop)}"
        if self.nobody and typed:
            hint += "; or run kedge in a terminal, which asks."
        if hop.passed_over:
            hint += f" Not followed of ~/.ssh/config: {', '.join(hop.passed_over)}."
        return LoginRefusedError(said, hint)


class _Dialogue:
    """One keyboard-interactive round.

    paramiko answers on a thread of its own; the person is asked on the caller's, where Ctrl-C
    arrives and the terminal is put in order again.
    """

    def __init__(self, login: _Login) -> None:
        self._login = login
        self._asked: queue.Queue[tuple[str, bool] | None] = queue.Queue()
        self._said: queue.Queue[str] = queue.Queue()
        self._end: list[Sequence[str] | BaseException] = []
        self.answers: dict[str, str] = {}

    def act(self) -> Sequence[str]:
        transport = self._login.transport
        before, transport.auth_timeout = transport.auth_timeout, _TYPING_TIMEOUT_S
        worker = threading.Thread(target=self._attempt, daemon=True)
        worker.start()
        nobody: NobodyAnswersError | None = None
        try:
            while (asked := self._asked.get()) is not None:
                question, echo = asked
                said = ""
                try:
                    if nobody is None:
                        said = SECRETS.answer(question, hidden=not echo)
                        self._login.note_asked()
                except NobodyAnswersError as error:
                    nobody = error
                self.answers[question] = said
                self._said.put(said)
        except BaseException:
            self._said.put("")
            transport.close()  # so that the worker ends, too
            raise
        finally:
            transport.auth_timeout = before
        worker.join()
        if nobody:
            raise nobody
        end = self._end[0]
        if isinstance(end, BaseException):
            raise end
        return end

    def _attempt(self) -> None:
        transport, user = self._login.transport, self._login.hop.user
        try:
            self._end.append(list(transport.auth_interactive(user, self._handle)))
        except BaseException as error:
            self._end.append(error)
        finally:
            self._asked.put(None)

    def _handle(
        self, title: str, instructions: str, prompts: Sequence[tuple[str, bool]]
    ) -> list[str]:
        del title, instructions
        answers = []
        hop = self._login.hop
        for prompt, echo in prompts:
            self._asked.put((f"{hop.user} on {hop.name}: {prompt.strip(' :')}", bool(echo)))
            answers.append(self._said.get(timeout=_TYPING_TIMEOUT_S))
        return answers


_METHODS: dict[str, Method] = {
    "publickey": _Login.keys,
    "keyboard-interactive": _Login.questions,
    "password": _Login.password,
}


def _copy_id(hop: Hop) -> str:
    """Write the command that puts a key on the server: ssh-copy-id takes no HOST:PORT."""
    words = ["ssh-copy-id"]
    if hop.port != DEFAULT_PORT:
        words += ["-p", str(hop.port)]
    if hop.identity_is_pinned:
        words += ["-i", f"{hop.identities[0]}.pub"]
    return " ".join([*words, f"{hop.user}@{hop.host}"])
