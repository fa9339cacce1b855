"""The manifest of a release: what it consists of, what it needs, and what was proven of it.

The digest of a manifest names the release, on the host, in the journal and on the board.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from typing import Any, Dict, List

from device_agent.contract.names import require_app, require_paths, require_sha256
from device_agent.contract.records import NewerRecordError, RecordError, read_record
from device_agent.contract.signed_text import canonical, parse_canonical, parse_time

SCHEMA = 1

#: Namespace of the signatures over manifests (`ssh-keygen -Y sign -n`).
RELEASE_NAMESPACE = "kedge-release"

#: Kinds of file in a release. A bill of materials stays on the host.
MODEL, CARD, LABELS, GOLDEN, DATA, EVIDENCE, BOM = (
    "model",
    "card",
    "labels",
    "golden",
    "data",
    "evidence",
    "bom",
)
ROLES = (MODEL, CARD, LABELS, GOLDEN, DATA, EVIDENCE, BOM)

MOST_BLOBS = 1000
MOST_VARIANTS = 64
#: Largest size of all files together, in bytes.
MOST_RELEASE_BYTES = 1 << 40
#: Names in the folder of a release that no file of a variant may have.
OWN_NAMES = ("manifest.json", "signatures", "variant")
#: Arguments of a hook.
MOST_HOOK_ARGUMENTS = 64


@dataclass(frozen=True)
class Blob:
    """One file of a release."""

    size: int
    """Size in bytes."""
    role: str
    """One of `ROLES`."""


@dataclass(frozen=True)
class Needs:
    """What a variant needs of a board."""

    architectures: List[str] = field(default_factory=list)
    """Names that `uname -m` may print; empty for any."""
    runtimes: Dict[str, str] = field(default_factory=dict)
    """Lowest version by distribution of a runtime; one of them is enough. Empty for any."""
    ops: Dict[str, int] = field(default_factory=dict)
    """Version by builtin operator."""
    accelerator: str = ""
    """`edgetpu` for a model compiled for it; empty for the CPU."""
    memory_bytes: int = 0
    """Peak memory of the process that was measured; 0 where it is not known."""


@dataclass(frozen=True)
class Variant:
    """The files for one kind of board; a board gets one variant."""

    name: str
    """Name such as `cpu_int8`; first in the list is preferred where several fit."""
    format: str
    """Format of its model file, such as `tflite`."""
    model: str
    """Path of the model among `files`."""
    files: Dict[str, str]
    """SHA-256 by path below the release folder."""
    needs: Needs = field(default_factory=Needs)
    host_files: Dict[str, str] = field(default_factory=dict)
    """SHA-256 by path of what no board gets: evidence, golden inputs and the host's outputs."""


@dataclass(frozen=True)
class Hooks:
    """Commands of the application, run without a shell on boards whose targets allow hooks."""

    reload: List[str] = field(default_factory=list)
    """Command that makes the application open `current` again; empty for none."""
    health: List[str] = field(default_factory=list)
    """Command that exits with 0 where the application works; empty for none."""


@dataclass(frozen=True)
class Manifest:
    """A release."""

    app: str
    """Name of the application: small letters, digits, dots, dashes, underscores."""
    version: str
    """Version for people; nothing is decided by it."""
    counter: int
    """Number of the release; each newer release of the application has a higher one."""
    created: str
    """UTC, ISO 8601."""
    blobs: Dict[str, Blob]
    """Files by SHA-256."""
    variants: List[Variant]
    """At least one."""
    schema: int = SCHEMA
    security_floor: int = 0
    """Lowest `counter` that a board accepts from the confirmation of this release on."""
    expires: str = ""
    """UTC, ISO 8601, after which no board activates it; empty for never."""
    hooks: Hooks = field(default_factory=Hooks)
    gates: Dict[str, float] = field(default_factory=dict)
    """Limits that the release demands, by name of a gate; a policy may be stricter."""
    provenance: Dict[str, Any] = field(default_factory=dict)
    """Recipe, evidence and versions of the tools by key."""

    def variant(self, name: str) -> Variant:
        """Return a variant.

        Raises:
            RecordError: There is none of this name.
        """
        for variant in self.variants:
            if variant.name == name:
                return variant
        names = ", ".join(variant.name for variant in self.variants)
        raise RecordError("no variant is called {!r}; there are: {}".format(name[:80], names))


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the bytes that are signed."""
    return canonical(asdict(manifest))


def manifest_digest(text: bytes) -> str:
    """Return the SHA-256 that names a release."""
    return hashlib.sha256(text).hexdigest()


def parse_manifest(text: bytes) -> Manifest:
    """Read and check a manifest, whoever wrote it.

    Raises:
        RecordError: It is damaged, of a newer kedge, or names what no release may have.
    """
    plain = parse_canonical(text, "the manifest")
    schema = plain.get("schema")
    if schema != SCHEMA:
        message = "the manifest has schema {!r}, this kedge reads {}: update kedge"
        raise NewerRecordError(message.format(schema, SCHEMA))
    manifest: Manifest = read_record(Manifest, plain)
    check_manifest(manifest)
    if encode_manifest(manifest) != text:
        raise NewerRecordError("the manifest has fields unknown to this kedge: update kedge")
    return manifest


def check_manifest(manifest: Manifest) -> None:
    """Refuse a manifest that is inconsistent.

    Raises:
        RecordError: A name, a path, a digest, a time or a number is not what it must be.
    """
    require_app(manifest.app)
    parse_time(manifest.created, "created")
    if manifest.expires:
        parse_time(manifest.expires, "expires")
    if not 0 <= manifest.security_floor <= manifest.counter or manifest.counter < 1:
        message = "expected 0 <= security_floor <= counter and counter >= 1, found {} and {}"
        raise RecordError(message.format(manifest.security_floor, manifest.counter))
    _check_blobs(manifest.blobs)
    names = [variant.name for variant in manifest.variants]
    if not 1 <= len(names) <= MOST_VARIANTS or len(set(names)) != len(names):
        raise RecordError("expected 1 to {} variants of different names".format(MOST_VARIANTS))
    for variant in manifest.variants:
        _check_variant(variant, manifest.blobs)
    for hook in (manifest.hooks.reload, manifest.hooks.health):
        if len(hook) > MOST_HOOK_ARGUMENTS or (hook and not hook[0].startswith("/")):
            raise RecordError(
                "a hook is an absolute path and its arguments, found {}".format(hook[:1])
            )
        if any("\0" in argument for argument in hook):
            raise RecordError("a hook has a zero byte in an argument")


def _check_blobs(blobs: Dict[str, Blob]) -> None:
    if len(blobs) > MOST_BLOBS:
        raise RecordError("{} files, expected at most {}".format(len(blobs), MOST_BLOBS))
    for sha256, blob in blobs.items():
        require_sha256(sha256, "blobs")
        if blob.role not in ROLES:
            raise RecordError(
                "role: expected one of {}, found {!r}".format(", ".join(ROLES), blob.role[:40])
            )
        if blob.size < 0:
            raise RecordError("size: expected 0 or more, found {}".format(blob.size))
    if sum(blob.size for blob in blobs.values()) > MOST_RELEASE_BYTES:
        raise RecordError("the files have more than {} bytes".format(MOST_RELEASE_BYTES))


def _check_variant(variant: Variant, blobs: Dict[str, Blob]) -> None:
    require_app(variant.name)
    require_paths([*variant.files, *variant.host_files])
    if not variant.files.keys().isdisjoint(variant.host_files):
        raise RecordError("a path of variant {} has two files".format(variant.name))
    for path, sha256 in [*variant.files.items(), *variant.host_files.items()]:
        if path.split("/")[0] in OWN_NAMES:
            raise RecordError("a file of a release cannot have the path {!r}".format(path))
        if sha256 not in blobs:
            raise RecordError(
                "the file {} of variant {} is not among the blobs".format(path, variant.name)
            )
        if blobs[sha256].role == BOM:
            raise RecordError("the bill of materials is in variant {}".format(variant.name))
    model = variant.files.get(variant.model)
    if model is None or blobs[model].role != MODEL:
        raise RecordError("variant {} has no model {!r}".format(variant.name, variant.model[:80]))
