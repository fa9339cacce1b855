"""The trust roots of a board: whose signatures it accepts.

A root is accepted on the operator's word where the board has none. Each later one has the next
number, and a threshold of the signers of both has signed it: the rule of The Update Framework,
specification 1.0, section 5.3.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import List, Optional

from device_agent.contract.codes import (
    BAD_REQUEST,
    DIGEST_MISMATCH,
    REPLAYED,
    UNTRUSTED,
    RefusalError,
)
from device_agent.contract.records import RecordError
from device_agent.contract.trust_root import ROOT_NAMESPACE, TrustRoot, parse_root
from device_agent.signatures import read_trusted_signers, require_signatures
from device_agent.store.checked_file import (
    DamagedFileError,
    read_checked,
    set_aside,
    write_checked,
)
from device_agent.store.release_log import ReleaseLog

_NAME = re.compile(r"([1-9][0-9]{0,8})\.json\Z")


class TrustRoots:
    """The roots in one folder, a file a version; only the newest counts."""

    def __init__(self, folder: str, journal: ReleaseLog) -> None:
        self._folder = folder
        self._journal = journal

    @property
    def is_empty(self) -> bool:
        """Whether no root was ever enrolled."""
        return not self._newest_version()

    def newest(self) -> Optional[TrustRoot]:
        """Read the newest root; `None` where none is enrolled.

        An older one never takes its place: its signers may have been removed since.

        Raises:
            RefusalError: The file is damaged.
        """
        version = self._newest_version()
        if not version:
            return None
        try:
            return parse_root(self._text(version))
        except (DamagedFileError, RecordError) as error:
            message = "the trust root {} is damaged on the board".format(version)
            hint = "Enrol the same root again: `kedge target trust`."
            raise RefusalError(DIGEST_MISMATCH, message, hint) from error

    def require(self) -> TrustRoot:
        """Return the newest root.

        Raises:
            RefusalError: None is enrolled, or it is damaged.
        """
        root = self.newest()
        if root is None:
            hint = "Enrol them: `kedge target trust NAME --signers FILE`."
            raise RefusalError(UNTRUSTED, "the board knows no signers yet", hint)
        return root

    def accept(self, text: bytes, signatures: List[str]) -> int:
        """Enrol a root; return its version. The newest one may be sent again.

        Raises:
            RefusalError: It is damaged, older than the board's, or not signed as the rule says.
        """
        root = _parse(text)
        version = self._newest_version()
        if not version:
            self._keep(root, text)
            return root.version
        if root.version == version:
            self._require_same(version, text)
            return version
        old = self.newest()
        assert old is not None
        if root.version < version:
            message = "the board has trust root {}, this one is {}"
            raise RefusalError(REPLAYED, message.format(version, root.version))
        for each in (old, root):
            require_signatures(
                "the trust root", text, signatures, ROOT_NAMESPACE, each.signers, each.threshold
            )
        if root.version != version + 1:
            message = "the board has trust root {}, expected {} next, found {}"
            hint = "Enrol the roots in between first, one after the other."
            raise RefusalError(UNTRUSTED, message.format(version, version + 1, root.version), hint)
        self._keep(root, text)
        return root.version

    def _require_same(self, version: int, text: bytes) -> None:
        """Accept the newest root once more; what is damaged is exchanged for it."""
        try:
            present = self._text(version)
        except DamagedFileError:
            if not self._is_logged(version, text):
                message = "the board had another trust root {}".format(version)
                raise RefusalError(UNTRUSTED, message, "Enrol the root that it had.") from None
            set_aside(self._path(version))
            write_checked(self._path(version), {"root": text.decode("ascii")})
            return
        if present != text:
            message = "the board has another trust root {}".format(version)
            hint = "Give the new root the next version, and let both sets of signers sign it."
            raise RefusalError(UNTRUSTED, message, hint)

    def _keep(self, root: TrustRoot, text: bytes) -> None:
        fields = {"version": root.version, "sha256": hashlib.sha256(text).hexdigest()}
        self._journal.append("trust", dict(fields, fleet=root.fleet))
        write_checked(self._path(root.version), {"root": text.decode("ascii")})

    def _is_logged(self, version: int, text: bytes) -> bool:
        digest = hashlib.sha256(text).hexdigest()
        return any(
            entry["event"] == "trust"
            and entry.get("version") == version
            and entry.get("sha256") == digest
            for entry in self._journal.entries()
        )

    def _newest_version(self) -> int:
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:
            return 0
        return max((int(m.group(1)) for m in map(_NAME.match, names) if m), default=0)

    def _path(self, version: int) -> str:
        return os.path.join(self._folder, "{}.json".format(version))

    def _text(self, version: int) -> bytes:
        plain = read_checked(self._path(version))
        if plain is None or not isinstance(plain.get("root"), str):
            raise DamagedFileError(self._path(version))
        return str(plain["root"]).encode("utf-8")


def _parse(text: bytes) -> TrustRoot:
    """Read a root whose threshold its keys can reach.

    Raises:
        RefusalError: It is damaged, or its signers are.
    """
    try:
        root = parse_root(text)
        keys = {signer.key for signer in read_trusted_signers(root.signers)}
    except ValueError as error:  # a RecordError is one
        raise RefusalError(BAD_REQUEST, "the trust root is wrong: {}".format(error)) from error
    if len(keys) < root.threshold:
        message = "the threshold is {}, and the signers have {} different keys"
        raise RefusalError(BAD_REQUEST, message.format(root.threshold, len(keys)))
    return root
