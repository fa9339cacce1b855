"""The words in which an agent says no, and the one error that both sides raise.

A code is stable: the host decides by it, never by the message.
"""

from __future__ import annotations

#: The request is not understood: unknown operation, missing field, wrong type.
BAD_REQUEST = "bad_request"
#: The key of the host may not do this on the board.
FORBIDDEN = "forbidden"
#: The host speaks a wire version that this agent does not.
WIRE_VERSION = "wire_version"
#: The bytes that arrived are not the ones that were announced.
DIGEST_MISMATCH = "digest_mismatch"
#: A file, blob or folder that the request names is not on the board.
NOT_FOUND = "not_found"
#: The file system is full, or a quota is.
NO_SPACE = "no_space"
#: The storage of the board fails.
STORAGE = "storage"
#: The file system refuses writing.
READ_ONLY = "read_only"
#: Others than the user may change the root folder, or something lies there that kedge never makes.
UNSAFE_ROOT = "unsafe_root"
#: A limit of the login (`ulimit`) is used up.
LIMIT = "limit"
#: Another host is writing the same blob now.
BUSY = "busy"
#: The runtime could not be imported.
RUNTIME_IMPORT = "runtime_import"
#: A delegate or an execution provider could not be loaded into the runtime.
DELEGATE = "delegate"
#: The runtime refused the model.
MODEL_REFUSED = "model_refused"
#: The inference process was ended by a signal or ended without an answer.
CHILD_DIED = "child_died"
#: The inference process gave no answer in time and was ended.
CHILD_TIMEOUT = "child_timeout"
#: Too few of the trusted signers have signed, or a signer is not trusted any more.
UNTRUSTED = "untrusted"
#: The board has no program that checks signatures.
NO_VERIFIER = "no_verifier"
#: The order or the release is older than what the board has accepted already.
REPLAYED = "replayed"
#: The release lies below the security floor of the board.
BELOW_FLOOR = "below_floor"
#: The order or the release is not valid at this time.
EXPIRED = "expired"
#: Another controller has taken over the board since.
STALE_EPOCH = "stale_epoch"
#: Another trial is not decided yet, or the release on trial is another one.
ON_TRIAL = "on_trial"
#: The release was made for other boards.
UNFIT = "unfit"
#: Files of the release are not on the board.
INCOMPLETE = "incomplete"
#: A command of the application failed, or is not allowed.
HOOK_FAILED = "hook_failed"
#: A bug in the agent; carries its traceback.
INTERNAL = "internal"


class IntegrityError(Exception):
    """A digest, a size or a signature differs: nobody proceeds."""

    exit_code = 5
    """Exit code of the command line."""
    hint: str
    """Next step for the user, in one sentence."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class RefusalError(Exception):
    """The agent refuses a request; travels over the wire as its fields."""

    code: str
    """One of the codes of this module."""
    hint: str
    """Next step for the user, in one sentence; may be empty."""
    traceback: str
    """Traceback of an inference process that failed by a bug of kedge; else empty."""

    def __init__(self, code: str, message: str, hint: str = "", traceback: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint
        self.traceback = traceback
