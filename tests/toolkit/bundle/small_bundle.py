"""A bundle of a few bytes, and keys that sign it."""

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from device_agent.contract.manifest import (
    LABELS,
    MODEL,
    RELEASE_NAMESPACE,
    Blob,
    Manifest,
    Variant,
    encode_manifest,
)
from toolkit.bundle.bundle_file import Bundle, write_bundle
from toolkit.bundle.signing import sign

FILES = {"model.tflite": (MODEL, b"bytes of a model"), "labels.txt": (LABELS, b"cat\ndog\n")}
CONTENT = {hashlib.sha256(content).hexdigest(): content for _, content in FILES.values()}
DIGESTS = {name: hashlib.sha256(content).hexdigest() for name, (_, content) in FILES.items()}


def small_manifest(**fields: object) -> Manifest:
    """A manifest of two files."""
    blobs = {DIGESTS[name]: Blob(len(text), role) for name, (role, text) in FILES.items()}
    variant = Variant("cpu_int8", "tflite", "model.tflite", dict(DIGESTS))
    values = {"version": "1.0", "counter": 1, "created": "2026-11-30T12:00:00Z", **fields}
    return Manifest(app="cats", blobs=blobs, variants=[variant], **values)  # type: ignore[arg-type]


def write_small(path: Path, *keys: Path, manifest: Manifest | None = None) -> Bundle:
    """A bundle that these keys sign."""
    text = encode_manifest(manifest or small_manifest())
    signatures = tuple(sign(text, key, RELEASE_NAMESPACE) for key in keys)
    return write_bundle(path, text, signatures, chunks_of_small)


def chunks_of_small(sha256: str) -> Iterator[bytes]:
    """A file of the small bundle."""
    yield CONTENT[sha256]


def make_key(path: Path, passphrase: str = "") -> Path:
    """A private key, with its public half beside it."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path
