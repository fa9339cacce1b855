"""A bundle: one file with a manifest, the signatures over it, and the files of a release.

Everything in the file follows from the manifest, the signatures and the content of the files, and a
reader compares all of it. So a bundle is either the one that was written, or it is refused.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from converters import durable
from device_agent.contract.codes import IntegrityError
from device_agent.contract.manifest import Manifest, manifest_digest, parse_manifest
from device_agent.contract.records import NewerRecordError, RecordError
from device_agent.contract.signed_text import MOST_BYTES
from device_agent.contract.trust_root import MOST_SIGNERS
from toolkit.bundle.odd_zip import describe_oddity
from toolkit.bundle.signing import MOST_SIGNATURE_BYTES
from toolkit.bundle.zip_layout import (
    MOST_HEADER_BYTES,
    LayoutError,
    ZipEntry,
    entry_header,
    parse_header,
    zip_directory,
)
from toolkit.errors import ToolkitError

MANIFEST_NAME = "manifest.json"
_SIGNATURES, _BLOBS = "signatures/", "blobs/"

_CHUNK_BYTES = 1 << 20
_AGAIN = "Get the bundle again from those who built it."


class BundleError(ToolkitError):
    """A bundle cannot be read or written, for another reason than that it was changed."""

    exit_code = 4


@dataclass(frozen=True)
class Bundle:
    """A bundle whose structure was checked; `verify_bundle` checks the content of its files."""

    path: Path
    """The file."""
    manifest: Manifest
    """Manifest of the release."""
    manifest_text: bytes
    """Bytes of the manifest, which are signed."""
    digest: str
    """SHA-256 of the manifest, which names the release."""
    signatures: tuple[bytes, ...]
    """Signatures over the manifest in the armored form of SSHSIG; not checked yet."""
    entries: Mapping[str, ZipEntry] = field(repr=False)
    """Places of the files in the bundle by SHA-256."""


def read_bundle(path: Path) -> Bundle:
    """Read a bundle and check its structure and its manifest; files are not hashed yet.

    Args:
        path: Any file; nothing in it is trusted.

    Raises:
        IntegrityError: It is not a bundle, or was changed, cut off, or written by something else.
        BundleError: It cannot be read, or a newer kedge wrote it.
    """
    try:
        if path.is_fifo():  # it would block until somebody writes into it
            raise BundleError(
                f"{path}: it is a pipe, not a file", "Name a file of `kedge bundle build`."
            )
        with path.open("rb") as file:
            return _read(path, file)
    except LayoutError as error:
        raise IntegrityError(f"{path}: {describe_oddity(path) or error}", _AGAIN) from error
    except OSError as error:
        raise BundleError(
            f"{path}: cannot be read: {error.strerror}", "Name a file of `kedge bundle build`."
        ) from error


def verify_bundle(bundle: Bundle) -> None:
    """Compare every file of a bundle with its digest.

    Raises:
        IntegrityError: A file differs.
        BundleError: The bundle cannot be read any more.
    """
    for sha256 in bundle.entries:
        for _ in blob_chunks(bundle, sha256):
            pass


def blob_chunks(bundle: Bundle, sha256: str) -> Iterator[bytes]:
    """Read a file of a bundle in parts; only the end says whether all of them were right.

    Args:
        bundle: Bundle.
        sha256: Digest of the file; a key of `bundle.manifest.blobs`.

    Raises:
        IntegrityError: The file differs; what was read so far is to be discarded.
        BundleError: The bundle cannot be read any more.
    """
    entry, digest, crc = bundle.entries[sha256], hashlib.sha256(), 0
    try:
        with bundle.path.open("rb") as file:
            file.seek(entry.content_offset)
            remaining = entry.size
            while remaining and (chunk := file.read(min(remaining, _CHUNK_BYTES))):
                digest.update(chunk)
                crc = zlib.crc32(chunk, crc)
                remaining -= len(chunk)
                yield chunk
    except OSError as error:
        raise BundleError(f"{bundle.path}: cannot be read: {error.strerror}", _AGAIN) from error
    if digest.hexdigest() != sha256 or crc != entry.crc:
        raise IntegrityError(
            f"{bundle.path}: a file ({bundle.manifest.blobs[sha256].role}) has digest "
            f"{digest.hexdigest()[:12]}, the manifest says {sha256[:12]}",
            _AGAIN,
        )


def extract_blob(bundle: Bundle, sha256: str, out: Path) -> None:
    """Write a file of a bundle; it is whole, or absent.

    Args:
        bundle: Bundle.
        sha256: Digest of the file; a key of `bundle.manifest.blobs`.
        out: Path of the file to write; its folder exists.

    Raises:
        IntegrityError: The file differs in the bundle; nothing was written.
        BundleError: The bundle cannot be read any more.
        HostDiskError: The disk is full or read-only.
    """
    with _whole_file(out) as file:
        for chunk in blob_chunks(bundle, sha256):
            file.write(chunk)


def unpack_variant(bundle: Bundle, name: str, folder: Path) -> Path:
    """Write the files of a variant into a folder, as a conversion leaves them.

    Args:
        bundle: Bundle.
        name: Name of the variant.
        folder: Folder to make or to fill; a file of the name of one of the variant is replaced.

    Returns:
        Path of the model.

    Raises:
        RecordError: There is no variant of this name.
        IntegrityError: A file differs in the bundle.
        HostDiskError: The disk is full or read-only.
    """
    variant = bundle.manifest.variant(name)
    for path, sha256 in {**variant.files, **variant.host_files}.items():
        out = folder / path
        with durable.translate_errors(out.parent):
            out.parent.mkdir(parents=True, exist_ok=True)
        extract_blob(bundle, sha256, out)
    return folder / variant.model


def write_bundle(
    path: Path,
    manifest_text: bytes,
    signatures: tuple[bytes, ...],
    chunks_of: Callable[[str], Iterator[bytes]],
) -> Bundle:
    """Write a bundle; equal arguments give equal bytes.

    Args:
        path: Path of the file; one that exists is replaced when the new one is whole.
        manifest_text: Bytes of the manifest.
        signatures: Signatures over the manifest in the armored form of SSHSIG.
        chunks_of: Reads the file with a SHA-256 in parts.

    Raises:
        BundleError: There are more signatures than a bundle may have.
        IntegrityError: A file is not the one that the manifest names.
        HostDiskError: The disk is full or read-only.
    """
    if len(signatures) > MOST_SIGNERS:
        raise BundleError(f"{path}: {len(signatures)} signatures, expected at most {MOST_SIGNERS}")
    manifest = parse_manifest(manifest_text)
    entries = []
    with _whole_file(path) as file:
        small = [(MANIFEST_NAME, manifest_text)]
        small += [(_signature_name(number), each) for number, each in enumerate(signatures, 1)]
        for name, content in small:
            entries.append(_append(file, name, len(content), iter([content])))
        for sha256, blob in sorted(manifest.blobs.items()):
            chunks = _same_chunks(chunks_of(sha256), sha256, blob.size)
            entries.append(_append(file, _BLOBS + sha256, blob.size, chunks))
        file.write(zip_directory(entries))
    return read_bundle(path)


def file_chunks(path: Path) -> Iterator[bytes]:
    """Read a file in parts.

    Raises:
        BundleError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}", "Check the path.") from error


def _read(path: Path, file: BinaryIO) -> Bundle:
    entry, manifest_text = _small_file(file, 0, MOST_BYTES)
    if entry.name != MANIFEST_NAME:
        raise LayoutError(f"it begins with {entry.name!r}, expected {MANIFEST_NAME}")
    manifest = _parse(path, manifest_text)
    entries, signatures = [entry], list[bytes]()
    header = _header_at(file, entry.end)
    while header.name.startswith(_SIGNATURES):
        if header.name != _signature_name(len(signatures) + 1) or len(signatures) == MOST_SIGNERS:
            raise LayoutError(f"the signature {header.name!r} is not expected there")
        entry, signature = _small_file(file, header.offset, MOST_SIGNATURE_BYTES)
        entries.append(entry)
        signatures.append(signature)
        header = _header_at(file, entry.end)
    blobs = {}
    for sha256 in sorted(manifest.blobs):
        blob = _header_at(file, entries[-1].end)
        if blob.name != _BLOBS + sha256:
            raise LayoutError(f"found {blob.name!r}, expected the file {sha256[:12]}")
        if blob.size != manifest.blobs[sha256].size:
            expected = f"{manifest.blobs[sha256].size} bytes, found {blob.size}"
            raise LayoutError(f"the file {sha256[:12]}: expected {expected}")
        entries.append(blob)
        blobs[sha256] = blob
    _check_end(file, entries)
    digest = manifest_digest(manifest_text)
    return Bundle(path, manifest, manifest_text, digest, tuple(signatures), blobs)


def _parse(path: Path, text: bytes) -> Manifest:
    try:
        return parse_manifest(text)
    except NewerRecordError as error:
        raise BundleError(f"{path}: {error}", "Update kedge on this computer.") from error
    except RecordError as error:
        raise IntegrityError(f"{path}: the manifest is damaged: {error}", _AGAIN) from error


def _header_at(file: BinaryIO, offset: int) -> ZipEntry:
    file.seek(offset)
    return parse_header(file.read(MOST_HEADER_BYTES), offset)


def _small_file(file: BinaryIO, offset: int, most_bytes: int) -> tuple[ZipEntry, bytes]:
    entry = _header_at(file, offset)
    if entry.size > most_bytes:
        raise LayoutError(f"{entry.name!r} has {entry.size} bytes, expected at most {most_bytes}")
    file.seek(entry.content_offset)
    content = file.read(entry.size)
    if len(content) != entry.size:
        raise LayoutError(f"it is cut off within {entry.name!r}")
    if zlib.crc32(content) != entry.crc:
        raise LayoutError(f"the checksum of {entry.name!r} differs: it was changed")
    return entry, content


def _check_end(file: BinaryIO, entries: list[ZipEntry]) -> None:
    expected = zip_directory(entries)
    total, size = entries[-1].end + len(expected), os.fstat(file.fileno()).st_size
    if size != total:
        what = "it is cut off" if size < total else "something follows its last file"
        raise LayoutError(f"{what}: it has {size} bytes, expected {total}")
    file.seek(entries[-1].end)
    if file.read(len(expected)) != expected:
        raise LayoutError("its directory differs from its files: it was changed")


def _append(file: BinaryIO, name: str, size: int, chunks: Iterator[bytes]) -> ZipEntry:
    """Write a file, and its header again when its checksum is known."""
    offset, count, crc = file.tell(), 0, 0
    file.write(entry_header(ZipEntry(name, size, 0, offset)))
    for chunk in chunks:
        file.write(chunk)
        crc = zlib.crc32(chunk, crc)
        count += len(chunk)
    entry = ZipEntry(name, count, crc, offset)
    file.seek(offset)
    file.write(entry_header(entry))
    file.seek(entry.end)
    return entry


def _same_chunks(chunks: Iterator[bytes], sha256: str, size: int) -> Iterator[bytes]:
    """Pass on the parts of a file that has to be the one that was hashed before."""
    digest, count = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        count += len(chunk)
        yield chunk
    if digest.hexdigest() != sha256 or count != size:
        raise IntegrityError(
            f"a file was changed while the bundle was written: it has digest "
            f"{digest.hexdigest()[:12]}, the manifest says {sha256[:12]}",
            "Repeat the command when nothing writes the files.",
        )


@contextmanager
def _whole_file(path: Path) -> Iterator[BinaryIO]:
    """Write a file that is whole or absent, also after a power cut."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with durable.translate_errors(path):
        try:
            with part.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            durable.sync_folder(path.parent)
        finally:
            part.unlink(missing_ok=True)


def _signature_name(number: int) -> str:
    return f"{_SIGNATURES}{number}.sig"
