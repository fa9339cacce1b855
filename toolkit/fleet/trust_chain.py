"""The trust roots of a fleet, as the project keeps them: each with the signatures over it.

A board takes the roots one after the other, so that the project keeps all of them. The newest may
wait for signatures of people who work on other computers; then no board has it yet.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from device_agent.contract.codes import IntegrityError
from device_agent.contract.records import RecordError
from device_agent.contract.trust_root import ROOT_NAMESPACE, TrustRoot, encode_root, parse_root
from targets.file_edit import replace_file
from toolkit.errors import ToolkitError
from toolkit.fleet.trusted_keys import trusted_keys

#: Folder of the project's roots, below `.kedge`.
FOLDER = "trust"

_ROOT_NAME = re.compile(r"([1-9][0-9]{0,8})\.json\Z")
_MOST_SIGNATURES = 200


class TrustError(ToolkitError):
    """The roots of a fleet do not allow what was requested."""


@dataclass(frozen=True)
class SignedRoot:
    """A trust root and the signatures over it."""

    root: TrustRoot
    text: bytes
    """Bytes that are signed."""
    signatures: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class TrustChain:
    """The roots of one fleet in a folder."""

    folder: Path

    def roots(self) -> tuple[SignedRoot, ...]:
        """Return the roots by their version, the oldest first.

        Raises:
            IntegrityError: A file is damaged, or one is missing between others.
        """
        paths = {}
        for path in self.folder.glob("*.json") if self.folder.is_dir() else ():
            match = _ROOT_NAME.match(path.name)
            if match:
                paths[int(match[1])] = path
        roots = [self._read(paths[version]) for version in sorted(paths)]
        versions = [entry.root.version for entry in roots]
        expected = list(range(versions[0], versions[0] + len(versions))) if versions else []
        if versions != sorted(paths) or versions != expected:
            raise _damaged(self.folder, f"it has the versions {', '.join(map(str, versions))}")
        return tuple(roots)

    def keep(self, root: TrustRoot, signatures: Sequence[bytes]) -> SignedRoot:
        """Write a root and signatures over it beside those that are there.

        Args:
            root: Root; a file of this version that says something else is replaced, and the
                signatures over it go.
            signatures: Signatures that fit it.

        Returns:
            Root with all signatures over it.

        Raises:
            TrustError: The folder cannot be written.
        """
        text = encode_root(root)
        path = self.folder / f"{root.version}.json"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not path.exists() or path.read_bytes() != text:
                for stale in self._signature_paths(root.version):
                    stale.unlink()
                replace_file(path, text)
            for signature in signatures:
                digest = hashlib.sha256(signature).hexdigest()[:16]
                replace_file(self.folder / f"{root.version}.{digest}.sig", signature)
        except OSError as error:
            raise TrustError(
                f"{self.folder}: cannot be written: {error.strerror or error}",
                "Make the project's folder writable for you.",
            ) from error
        return self._read(path)

    def _signature_paths(self, version: int) -> list[Path]:
        return sorted(self.folder.glob(f"{version}.*.sig"))[:_MOST_SIGNATURES]

    def _read(self, path: Path) -> SignedRoot:
        try:
            text = path.read_bytes()
            root = parse_root(text)
            signatures = tuple(file.read_bytes() for file in self._signature_paths(root.version))
        except (OSError, RecordError) as error:
            raise _damaged(path, str(error)) from error
        return SignedRoot(root, text, signatures)


def find_chains(folder: Path) -> dict[str, TrustChain]:
    """Return the chains of a project by the name of their fleet."""
    if not folder.is_dir():
        return {}
    return {path.name: TrustChain(path) for path in sorted(folder.iterdir()) if path.is_dir()}


def lacking_signatures(entry: SignedRoot, before: TrustRoot | None) -> list[str]:
    """Say which signatures a root still needs before boards accept it.

    Args:
        entry: Root with the signatures over it.
        before: Root before it; `None` for the first, which the operator's word is enough for.

    Returns:
        Sentence for each group of signers of which too few have signed; empty where all is well.

    Raises:
        IntegrityError: A signature does not fit its root.
    """
    if before is None:
        return []
    gaps = []
    for judge in (before, entry.root):
        names = trusted_keys(entry.text, entry.signatures, ROOT_NAMESPACE, judge)
        if len(names) < judge.threshold:
            present = f" ({', '.join(sorted(names.values()))})" if names else ""
            gaps.append(
                f"{judge.threshold} of the {len(judge.signers)} signers of root {judge.version} "
                f"must sign, {len(names)} did{present}"
            )
    return gaps


def _damaged(path: Path, reason: str) -> IntegrityError:
    return IntegrityError(
        f"{path}: the trust roots of this project are damaged: {reason}",
        "Restore the folder from a copy of the project.",
    )
