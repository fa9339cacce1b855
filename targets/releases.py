"""The releases of one board: what it runs, and how another release gets there.

Every act that changes the board names the epoch of its controller, and may be repeated: the board
does it once for each order and epoch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from typing import Any, BinaryIO

from device_agent.contract.names import require_sha256
from device_agent.contract.records import RecordError, read_count, read_record, read_value
from device_agent.contract.release_state import AppState, BoardReleases
from device_agent.contract.trust_root import TrustRoot, parse_root
from device_agent.contract.wire import WireError
from targets.agent_client import ANSWER_TIMEOUT_S, AgentClient, OnBytes, answers_of
from targets.errors import TargetError
from targets.release_answers import (
    MOST_COUNTER,
    MOST_LOG_ENTRIES,
    check_app_state,
    check_releases,
)

#: Longest wait while a slow SD card hashes and links all files of a release.
STAGE_TIMEOUT_S = 1200.0

#: Longest wait while a board hashes a release once more and runs a hook of the application.
SWITCH_TIMEOUT_S = 600.0

#: Largest number of characters that are kept of what a hook printed.
MOST_HOOK_OUTPUT = 2048

_LONGEST_HOOK_MS = 86_400_000.0


@dataclass(frozen=True)
class HookRun:
    """A command of the application that ran on a board."""

    exit_code: int
    """Exit code of the command; negative for the number of the signal that ended it."""
    output: str
    """End of what it printed, at most 2 KiB; not trusted."""
    duration_ms: float


@dataclass(frozen=True)
class FreedSpace:
    """What the collection of unused files removed from a board."""

    removed: int
    """Number of files and releases that were removed."""
    freed_bytes: int


class Releases:
    """The releases of one board.

    Every method raises `AgentError` where the board refuses: its `code` is one of
    `device_agent.contract.codes`. It raises `BoardDiskError` for a full or read-only disk,
    `IntegrityError` for bytes with another digest, size or signature, and `UnreachableError` or
    `DeadlineError` where no answer comes; then the act may have been done, and may be repeated.
    """

    def __init__(self, client: AgentClient) -> None:
        self._client = client

    def state(self) -> BoardReleases:
        """Return all that a controller must know of the board before it acts.

        An unconfirmed trial of another boot, or past its deadline, is reverted first.
        """
        answer = self._call("releases", {}, SWITCH_TIMEOUT_S)
        with answers_of(self._client.name):
            return check_releases(read_record(BoardReleases, answer))

    def missing(self, sizes: Mapping[str, int]) -> frozenset[str]:
        """Return the files that the board does not have.

        Args:
            sizes: Size in bytes by SHA-256 of each file.

        Raises:
            BoardDiskError: The missing files do not fit.
        """
        args = {"sha256": list(sizes), "sizes": list(sizes.values())}
        answer = self._call("missing", args, STAGE_TIMEOUT_S)
        with answers_of(self._client.name):
            digests = frozenset(read_value(list[str], answer.get("missing"), "missing"))
            if not digests <= sizes.keys():
                raise RecordError("missing: a file that nobody asked for")
            return digests

    def send(
        self, content: BinaryIO, digest: str, size: int, on_bytes: OnBytes | None = None
    ) -> int:
        """Send a file whole; only what the board does not have of it yet.

        Args:
            content: File, seekable.
            digest: SHA-256 of the file.
            size: Size of the file in bytes.
            on_bytes: Called as bytes leave.

        Returns:
            Number of bytes that had to be sent.
        """
        bytes_before = self._client.sent_bytes
        self._client.put(content, digest, size, on_bytes)
        return self._client.sent_bytes - bytes_before

    def send_delta(
        self,
        delta: bytes,
        algorithm: str,
        base: str,
        target: tuple[str, int],
        on_bytes: OnBytes | None = None,
    ) -> int:
        """Send a file as its difference to a file that the board has.

        Args:
            delta: Content of the delta.
            algorithm: Name of the algorithm that decodes it.
            base: SHA-256 of the file that the board has; empty for an algorithm without a base.
            target: SHA-256 and size in bytes of the new file, to which the board holds the result.
            on_bytes: Called as bytes leave.

        Returns:
            Number of bytes that had to be sent.

        Raises:
            AgentError: The board lacks the base, or does not know the algorithm: send it whole.
            IntegrityError: The result has another digest; nothing of it is kept.
        """
        delta_digest = sha256(delta).hexdigest()
        sent_bytes = self.send(BytesIO(delta), delta_digest, len(delta), on_bytes)
        args = {"base": base, "target": target[0], "size": target[1]}
        self._call(
            "patch", {**args, "delta": delta_digest, "algorithm": algorithm}, STAGE_TIMEOUT_S
        )
        return sent_bytes

    def stage(
        self, manifest_text: bytes, signatures: Sequence[bytes], variant: str, epoch: int
    ) -> str:
        """Let the board check a release whose files it has, and keep it beside the active one.

        Args:
            manifest_text: Canonical bytes of the manifest.
            signatures: Armored signatures over the manifest.
            variant: Name of the variant for this board.
            epoch: Epoch of the controller.

        Returns:
            Digest of the manifest, by which the release is named from now on.

        Raises:
            IntegrityError: A file or a signature is damaged, or the board staged something else.
        """
        args = {"manifest": _text(manifest_text), "signatures": _texts(signatures)}
        answer = self._call("stage", {**args, "variant": variant, "epoch": epoch}, STAGE_TIMEOUT_S)
        with answers_of(self._client.name):
            release = require_sha256(read_value(str, answer.get("release"), "release"), "release")
            if release != sha256(manifest_text).hexdigest():
                raise RecordError("release: the digest of another manifest")
            return release

    def activate(
        self,
        order_text: bytes,
        signatures: Sequence[bytes],
        epoch: int,
        deadline_s: int,
        hooks: bool,
    ) -> AppState:
        """Switch to the staged release that an order names, on trial.

        Args:
            order_text: Canonical bytes of the order.
            signatures: Armored signatures over the order.
            epoch: Epoch of the controller.
            deadline_s: Seconds until the board reverts by itself.
            hooks: Whether the commands of the manifest may run on this board.

        Returns:
            State of the application after the switch.
        """
        args = {"order": _text(order_text), "signatures": _texts(signatures), "epoch": epoch}
        return self._app_state("activate", {**args, "deadline_s": deadline_s, "hooks": hooks})

    def health(self, app: str) -> HookRun:
        """Run the command of the active release that says whether the application works.

        Raises:
            AgentError: The command could not be started, or is not allowed on this board; a command
                that says no is an answer with another exit code than 0.
        """
        answer = self._call("health", {"app": app}, SWITCH_TIMEOUT_S)
        with answers_of(self._client.name):
            code = read_value(int, answer.get("exit_code"), "exit_code")
            output = read_value(str, answer.get("output"), "output")
            duration_ms = read_value(float, answer.get("duration_ms"), "duration_ms")
            if not -256 <= code <= 255 or not 0 <= duration_ms <= _LONGEST_HOOK_MS:
                raise RecordError(f"a command that ended with {code} after {duration_ms} ms")
            return HookRun(code, output[-MOST_HOOK_OUTPUT:], float(duration_ms))

    def confirm(self, app: str, release: str, order: str, epoch: int) -> AppState:
        """Keep the release on trial.

        Args:
            app: Name of the application.
            release: Digest of the manifest of the release on trial.
            order: Digest of the order that activated it.
            epoch: Epoch of the controller.

        Returns:
            State of the application after it.
        """
        args = {"app": app, "release": release, "order": order, "epoch": epoch}
        return self._app_state("confirm", args)

    def revert(self, app: str, release: str, reason: str, epoch: int) -> AppState:
        """Return to the release before the one on trial.

        Args:
            app: Name of the application.
            release: Digest of the manifest of the release that is to go.
            reason: Reason in words, for the board's log.
            epoch: Epoch of the controller.

        Returns:
            State of the application after it.
        """
        args = {"app": app, "release": release, "reason": reason, "epoch": epoch}
        return self._app_state("revert", args)

    def collect(self, epoch: int, kept_releases: Collection[str]) -> FreedSpace:
        """Remove the releases and files that nothing uses.

        Args:
            epoch: Epoch of the controller.
            kept_releases: Digests of manifests of the releases that stay in any case.
        """
        args = {"epoch": epoch, "pinned": sorted(kept_releases)}
        answer = self._call("collect", args, STAGE_TIMEOUT_S)
        with answers_of(self._client.name):
            counts = (read_count(answer, name, MOST_COUNTER) for name in ("removed", "freed_bytes"))
            return FreedSpace(*counts)

    def log(self, after: int = 0) -> tuple[dict[str, Any], ...]:
        """Return the entries of the board's log, whose chain the board has checked.

        Args:
            after: Number of the last entry that is known already.

        Raises:
            AgentError: The answer has another form; the log tells nothing.
        """
        answer = self._call("release_log", {"after": after}, ANSWER_TIMEOUT_S)
        with answers_of(self._client.name):
            entries = read_value(list[dict[str, Any]], answer.get("entries"), "entries")
            if len(entries) > MOST_LOG_ENTRIES:
                raise RecordError(f"entries: {len(entries)}, expected at most {MOST_LOG_ENTRIES}")
            return tuple(entries)

    def trust(self, root_text: bytes, signatures: Sequence[bytes]) -> int:
        """Enrol a trust root.

        Args:
            root_text: Canonical bytes of the root.
            signatures: Armored signatures over the root; none are needed for a board's first root.

        Returns:
            Version of the root that the board trusts now.
        """
        args = {"root": _text(root_text), "signatures": _texts(signatures)}
        answer = self._call("trust", args, SWITCH_TIMEOUT_S)
        with answers_of(self._client.name):
            return read_count(answer, "version", MOST_COUNTER)

    def trust_root(self) -> TrustRoot | None:
        """Return the trust root of the board; `None` where none is enrolled.

        Raises:
            AgentError: The answer has another form; nothing is known of the root.
        """
        answer = self._call("trust_root", {}, ANSWER_TIMEOUT_S)
        with answers_of(self._client.name):
            text = read_value(str, answer.get("root"), "root")
            return parse_root(text.encode()) if text else None

    def _app_state(self, op: str, args: Mapping[str, Any]) -> AppState:
        answer = self._call(op, args, SWITCH_TIMEOUT_S)
        with answers_of(self._client.name):
            return check_app_state(read_record(AppState, answer.get("state")))

    def _call(self, op: str, args: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        try:
            return self._client.call(op, args, timeout_s)
        except WireError as error:
            raise TargetError(
                f"{self._client.name}: the request {op} is too long to be sent: {error}",
                "Divide the release, so that its manifest names fewer files.",
            ) from error


def _text(content: bytes) -> str:
    """Return the text of a signed record; the board refuses what is not ASCII."""
    return content.decode("utf-8", "replace")


def _texts(signatures: Sequence[bytes]) -> list[str]:
    return [_text(signature) for signature in signatures]
