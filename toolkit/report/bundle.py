"""What a bundle says: for a person, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from device_agent.contract.manifest import GOLDEN, Manifest, Variant
from toolkit.bundle.bundle_file import Bundle
from toolkit.bundle.release_signers import ReleaseSigner
from toolkit.report import words
from toolkit.report.tables import Block, Note, Table

#: Version of the JSON.
SCHEMA = 1

#: Characters of a version that a line has room for.
_SHOWN_VERSION = 60


def describe_bundle(bundle: Bundle, signers: Sequence[ReleaseSigner]) -> list[Block]:
    """Return a bundle as lines and tables for a person.

    Args:
        bundle: Bundle.
        signers: Keys that signed it.
    """
    manifest = bundle.manifest
    size = sum(blob.size for blob in manifest.blobs.values())
    version = manifest.version[:_SHOWN_VERSION]
    blocks: list[Block] = [
        f"{manifest.app} {version}, release {manifest.counter} of {manifest.created}",
        f"digest {bundle.digest}",
        f"{len(manifest.blobs)} files, {words.size(size)}",
    ]
    blocks += _limits(manifest)
    rows = [_variant_row(manifest, variant) for variant in manifest.variants]
    columns = ["variant", "model", "board gets", "runtime", "accelerator", "boards", "memory"]
    blocks.append(Table("", [*columns, "accuracy"], rows, ("memory", "boards", "accelerator")))
    blocks.append(
        Table(
            "",
            ["path", "role", "size", "variants", "sha256"],
            [_file_row(manifest, *entry) for entry in _files(manifest)],
            ("sha256",),
        )
    )
    for variant in manifest.variants:
        if all(manifest.blobs[sha].role != GOLDEN for sha in variant.host_files.values()):
            blocks.append(
                Note(
                    f"{variant.name} has no golden vectors: outputs of boards are compared over "
                    "random inputs, which stays inconclusive where other kernels compute"
                )
            )
    if not signers:
        blocks.append("signatures: none; boards with a trust root refuse it")
    for signer in signers:
        name = f" {signer.name}" if signer.name else ""
        blocks.append(f"signed by{name} {signer.key_type} {signer.fingerprint}")
    return blocks


def plain_bundle(bundle: Bundle, signers: Sequence[ReleaseSigner]) -> dict[str, Any]:
    """Return a bundle in the form of JSON; fields are added, never changed.

    Args:
        bundle: Bundle.
        signers: Keys that signed it.
    """
    manifest = bundle.manifest
    return {
        "schema": SCHEMA,
        "path": str(bundle.path),
        "digest": bundle.digest,
        **{key: value for key, value in asdict(manifest).items() if key != "schema"},
        "signatures": [asdict(signer) for signer in signers],
    }


def _limits(manifest: Manifest) -> list[str]:
    lines = []
    if manifest.expires:
        lines.append(f"expires {manifest.expires}: no board activates it afterwards")
    if manifest.security_floor:
        lines.append(f"security floor {manifest.security_floor}: boards refuse older releases")
    for name, limit in sorted(manifest.gates.items()):
        lines.append(f"gate {name}: {limit:g}")
    for name in ("reload", "health"):
        hook = getattr(manifest.hooks, name)
        if hook:
            lines.append(f"hook {name}: {' '.join(hook)}")
    for subject, licence in sorted(_table(manifest.provenance.get("licences")).items()):
        lines.append(f"licence of {subject}: {licence}")
    return lines


def _variant_row(manifest: Manifest, variant: Variant) -> list[str]:
    blobs, needs = manifest.blobs, variant.needs
    evidence = _table(_table(manifest.provenance.get("variants")).get(variant.name))
    accuracy = evidence.get("accuracy")
    lowest = [f"{name} {version}" for name, version in needs.runtimes.items()]
    return [
        variant.name,
        words.size(blobs[variant.files[variant.model]].size),
        words.size(sum(blobs[sha256].size for sha256 in set(variant.files.values()))),
        " or ".join(lowest) or "any",
        needs.accelerator or "–",
        ", ".join(needs.architectures) or "any",
        words.size(needs.memory_bytes) if needs.memory_bytes else "–",
        words.percent(accuracy) if isinstance(accuracy, float) else "–",
    ]


def _table(value: object) -> dict[str, Any]:
    """A table of the provenance, whose form no board and no reader checks."""
    return value if isinstance(value, dict) else {}


def _files(manifest: Manifest) -> list[tuple[str, str, list[str]]]:
    """Path, digest and variants of each file."""
    places: dict[tuple[str, str], list[str]] = {}
    for variant in manifest.variants:
        for path, sha256 in {**variant.files, **variant.host_files}.items():
            places.setdefault((path, sha256), []).append(variant.name)
    used = {sha256 for _, sha256 in places}
    rest = [("–", sha256, list[str]()) for sha256 in sorted(set(manifest.blobs) - used)]
    return [*((path, sha256, names) for (path, sha256), names in places.items()), *rest]


def _file_row(manifest: Manifest, path: str, sha256: str, names: list[str]) -> list[str]:
    blob = manifest.blobs[sha256]
    every = len(names) == len(manifest.variants)
    return [path, blob.role, words.size(blob.size), "all" if every else ", ".join(names), sha256]
