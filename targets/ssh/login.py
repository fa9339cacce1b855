"""Logs in to an SSH server: with keys first, then with what a person types."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence

import paramiko

from targets.address import DEFAULT_PORT
from targets.login_words import advice_on, quote_words
from targets.ssh.agent import SIGN_TIMEOUT_S, AgentSignedKey
from targets.ssh.algorithms import SHA1_ONLY, rsa_refusal
from targets.ssh.certificate import find_certificate_problem
from targets.ssh.connection import Connection
from targets.ssh.dialogue import Dialogue
from targets.ssh.keys import SkippedKey, keys_for
from targets.ssh.link_words import reason_of
from targets.ssh.route import SshServer
from targets.ssh.secrets import MOST_TRIES, SECRETS, NobodyAnswersError, Question
from targets.transport import LoginRefusedError

LOGIN_TIMEOUT_S = 20.0

_RSA_HINT = "Use an Ed25519 or ECDSA key, or update the SSH server of the board."

_CERTIFICATE_HINT = (
    "Get a new certificate for this user from whoever signs them (ssh-keygen -L -f FILE-cert.pub "
    "shows the one you have)."
)

#: Longest list of methods that is shown.
_MOST_NAMES = 200

_AUTH_FAILED = (paramiko.AuthenticationException, paramiko.SSHException)

Method = Callable[["_Login"], "Sequence[str] | None"]
"""Tries one way to log in. Methods to go on with (empty: logged in), or `None` for refused."""


def log_in(transport: Connection, server: SshServer) -> None:
    """Log in on an open connection whose host key was checked.

    Raises:
        LoginRefusedError: The server refuses every key and every answer; the hint says what to do.
    """
    transport.auth_timeout = LOGIN_TIMEOUT_S
    _Login(transport, server).act()


class _Login:
    """One login, and the methods that were tried in it."""

    def __init__(self, transport: Connection, server: SshServer) -> None:
        self.transport = transport
        self.server = server
        self.attempts: list[str] = []
        self.skipped_keys: list[SkippedKey] = []
        self.nobody_answers = False
        self.was_asked = False
        self.rsa_key: paramiko.PKey | None = None
        """First RSA key that the server refused."""

    def act(self) -> None:
        methods = self._methods()
        tried_methods: set[str] = set()
        while methods:
            for name, method in _METHODS.items():
                if name not in methods or name in tried_methods:
                    continue
                tried_methods.add(name)
                next_methods = method(self)
                if next_methods is not None:
                    methods = next_methods
                    break
            else:
                raise self._refused(methods)

    def _methods(self) -> Sequence[str]:
        """Ask what the server takes; some boards take everybody."""
        try:
            return list(self.transport.auth_none(self.server.user))
        except paramiko.BadAuthenticationType as refused:
            return list(refused.allowed_types)

    def keys(self) -> Sequence[str] | None:
        with contextlib.closing(keys_for(self.server, self.skipped_keys)) as keys:
            for name, key in _then_plain(keys):
                if key.get_name() == "ssh-rsa" and (why := rsa_refusal(self.transport)):
                    self.skipped_keys.append(SkippedKey(f"{name} was not tried: {why}", _RSA_HINT))
                    continue
                self.attempts.append(name)
                is_agent = isinstance(key, AgentSignedKey)
                self.transport.auth_timeout = LOGIN_TIMEOUT_S + is_agent * SIGN_TIMEOUT_S
                try:
                    return list(self.transport.auth_publickey(self.server.user, key))
                except _AUTH_FAILED as error:
                    if not self.transport.is_active():
                        raise self._cut(error) from error
                self._note_certificate(name, key)
                if key.get_name() == "ssh-rsa":
                    self.rsa_key = self.rsa_key or key
        return None

    def _note_certificate(self, name: str, key: paramiko.PKey) -> None:
        if key.public_blob is None:
            return
        blob = key.public_blob.key_blob
        problem = find_certificate_problem(blob, self.server.user, time.time())
        if problem:
            self.skipped_keys.append(SkippedKey(f"of {name}, {problem}", _CERTIFICATE_HINT))

    def password(self) -> Sequence[str] | None:
        """Ask for the password, unless the same was just asked for in the server's own words."""
        if self.was_asked:
            return None
        question = Question(f"Password of {self.server.user} on {self.server.name}")
        with SECRETS.one_at_a_time:
            for _ in range(MOST_TRIES):
                try:
                    answer = SECRETS.answer(question)
                except NobodyAnswersError:
                    self.nobody_answers = True
                    return None
                if not answer:
                    return None
                self._note("the password")
                try:
                    methods = self.transport.auth_password(self.server.user, answer, fallback=False)
                except _AUTH_FAILED as error:
                    SECRETS.forget(question)
                    if not self.transport.is_active():
                        raise self._cut(error) from error
                    continue
                SECRETS.keep(question, answer)
                return list(methods)
        return None

    def questions(self) -> Sequence[str] | None:
        """Hand the server's own questions to the person (keyboard-interactive)."""
        with SECRETS.one_at_a_time:
            for _ in range(MOST_TRIES):
                dialogue = Dialogue(self.transport, self.server, self.note_asked)
                try:
                    methods = dialogue.act()
                except NobodyAnswersError:
                    self.nobody_answers = True
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
                for question, answer in dialogue.answers.items():
                    if "password" in question.text.lower():
                        SECRETS.keep(question, answer)
                return methods
        return None

    def note_asked(self) -> None:
        self.was_asked = True
        self._note("the answers to its questions")

    def _note(self, what: str) -> None:
        if what not in self.attempts:
            self.attempts.append(what)

    def _cut(self, error: Exception) -> LoginRefusedError:
        count, words = len(self.attempts), self._server_words()
        tries = f" after {count} {'try' if count == 1 else 'tries'} ({', '.join(self.attempts)})"
        hint = (
            "If it allows few tries, name the right key: --identity KEY, or IdentityFile with "
            "IdentitiesOnly in ~/.ssh/config. Otherwise the log of its SSH server says why."
        )
        return LoginRefusedError(
            f"{self.server.name} hung up on the login of {self.server.user}"
            f"{tries if count else ''}: {reason_of(error)}"
            + (f"; it said: {quote_words(words)}" if words else ""),
            advice_on(words) or hint,
        )

    def _refused(self, methods: Sequence[str]) -> LoginRefusedError:
        server, attempts = self.server, ", ".join(self.attempts) or "no key at all"
        # Last of all: some servers hang up at the question.
        if self.rsa_key and self.transport.would_take(server.user, self.rsa_key, "ssh-rsa"):
            self.skipped_keys.append(SkippedKey(SHA1_ONLY, _RSA_HINT))
        message = f"{server.name} refused the login of {server.user} with {attempts}"
        message += "".join(f"; {key.why}" for key in self.skipped_keys)
        typing_methods = {"password", "keyboard-interactive"} & set(methods)
        if self.nobody_answers and typing_methods:
            message += "; it would take a password, and nobody can type it"
        words = self._server_words()
        message += f"; it said: {quote_words(words)}" if words else ""
        if not {"publickey", *typing_methods} & set(methods):
            message += (
                f"; it takes no keys and no passwords, but {', '.join(methods)[:_MOST_NAMES]}"
            )
        hint = self._hint(methods)
        if self.nobody_answers and typing_methods:
            terminal = "un kedge in a terminal, which asks."
            hint = f"{hint.rstrip('.')}; or r{terminal}" if hint else f"R{terminal}"
        if not hint:
            hint = "Let its SSH server take keys: PubkeyAuthentication of sshd_config."
            hint = f"Check the answer. {hint}" if typing_methods else hint
        if server.ignored_settings:
            hint += f" Not followed of ~/.ssh/config: {', '.join(server.ignored_settings)}."
        return LoginRefusedError(message, advice_on(words) or hint)

    def _hint(self, methods: Sequence[str]) -> str:
        """Say which key helps; empty where the server asks for something else than a key."""
        if "publickey" not in methods:
            return ""
        hints = [key.hint for key in self.skipped_keys if key.hint]
        if hints:
            return hints[0]
        hint = f"Put your public key on the board: {_copy_id(self.server)}"
        if not self.attempts:
            return hint
        return f"{hint}; if it is there, the log of its SSH server says why."

    def _server_words(self) -> str:
        return self.transport.banner.decode("utf-8", "replace").strip()


def _then_plain(keys: Iterator[tuple[str, paramiko.PKey]]) -> Iterator[tuple[str, paramiko.PKey]]:
    """Give each key that has a certificate a second time without it, as ssh does."""
    for name, key in keys:
        yield name, key
        if key.public_blob is not None:
            key.public_blob = None
            yield f"{name} without its certificate", key


_METHODS: dict[str, Method] = {
    "publickey": _Login.keys,
    "keyboard-interactive": _Login.questions,
    "password": _Login.password,
}


def _copy_id(server: SshServer) -> str:
    """Write the command that puts a key on the server: ssh-copy-id takes no HOST:PORT."""
    words = ["ssh-copy-id"]
    if server.port != DEFAULT_PORT:
        words += ["-p", str(server.port)]
    if server.identity_is_pinned:
        words += ["-i", f"{server.identities[0]}.pub"]
    return " ".join([*words, f"{server.user}@{server.host}"])
