"""Releases, orders and trust roots for tests, signed by real keys with the real `ssh-keygen`."""

import functools
import hashlib
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from device_agent.contract.manifest import (
    RELEASE_NAMESPACE,
    Blob,
    Hooks,
    Manifest,
    Variant,
    encode_manifest,
    manifest_digest,
)
from device_agent.contract.order import (
    ORDER_NAMESPACE,
    RELEASE,
    RolloutOrder,
    encode_order,
    order_digest,
)
from device_agent.contract.signed_text import time_text
from device_agent.contract.trust_root import ROOT_NAMESPACE, TrustRoot, encode_root

FLEET, APP, VARIANT = "line-1", "sorter", "cpu_int8"
CREATED = "2026-01-02T03:04:05Z"
NO_END = "2039-01-01T00:00:00Z"


@functools.cache
def key(name: str) -> Path:
    """Private key of a signer; made once a process, on disk until it ends."""
    path = _folder() / name
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)]
    subprocess.run(command, check=True)
    return path


def public_key(name: str) -> str:
    return key(name).with_suffix(".pub").read_text().strip()


@functools.cache
def signature(text: bytes, namespace: str, signer: str) -> str:
    """Armored signature of a text."""
    command = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key(signer)), "-n", namespace]
    done = subprocess.run(command, input=text, capture_output=True, check=True)
    return done.stdout.decode()


def trust_request(
    *signers: str,
    version: int = 1,
    threshold: int = 1,
    signed_by: Sequence[str] = (),
    fleet: str = FLEET,
) -> dict[str, Any]:
    """Arguments of `trust`."""
    lines = [f"{name}@example.com {public_key(name)}" for name in signers]
    text = encode_root(TrustRoot(fleet, version, threshold, lines))
    signatures = [signature(text, ROOT_NAMESPACE, name) for name in signed_by]
    return {"root": text.decode(), "signatures": signatures}


class SampleRelease:
    """A release: its files, its manifest and the requests that bring it onto a board."""

    def __init__(
        self,
        counter: int,
        files: Mapping[str, bytes] | None = None,
        signers: Sequence[str] = ("ann",),
        hooks: Hooks | None = None,
        **fields: Any,
    ) -> None:
        self.files = dict(files or {"model.tflite": b"model %d" % counter, "labels/en.txt": b"a"})
        self.signers = signers
        digests = {path: hashlib.sha256(data).hexdigest() for path, data in self.files.items()}
        blobs = {
            digest: Blob(len(self.files[path]), "model" if path == "model.tflite" else "labels")
            for path, digest in digests.items()
        }
        self.manifest = replace(
            Manifest(
                app=APP,
                version=f"1.{counter}",
                counter=counter,
                created=CREATED,
                blobs=blobs,
                variants=[Variant(VARIANT, "tflite", "model.tflite", digests)],
                hooks=hooks or Hooks(),
            ),
            **fields,
        )
        self.text = encode_manifest(self.manifest)
        self.digest = manifest_digest(self.text)

    @property
    def blobs(self) -> dict[str, bytes]:
        """Content of each file by digest."""
        return {hashlib.sha256(data).hexdigest(): data for data in self.files.values()}

    def stage_request(self, epoch: int = 1) -> dict[str, Any]:
        """Arguments of `stage`."""
        signatures = [signature(self.text, RELEASE_NAMESPACE, name) for name in self.signers]
        return {
            "manifest": self.text.decode(),
            "signatures": signatures,
            "variant": VARIANT,
            "epoch": epoch,
        }

    def order(self, counter: int, kind: str = RELEASE, **fields: Any) -> RolloutOrder:
        """Order to activate it."""
        order = RolloutOrder(APP, FLEET, counter, kind, self.digest, CREATED, NO_END, "ann")
        return replace(order, **fields)

    def activate_request(
        self,
        counter: int,
        epoch: int = 1,
        deadline_s: int = 600,
        signers: Sequence[str] = ("ann",),
        hooks: bool = False,
        **fields: Any,
    ) -> dict[str, Any]:
        """Arguments of `activate`; `fields` are those of the order."""
        text = encode_order(self.order(counter, **fields))
        return {
            "order": text.decode(),
            "signatures": [signature(text, ORDER_NAMESPACE, name) for name in signers],
            "epoch": epoch,
            "deadline_s": deadline_s,
            "hooks": hooks,
        }

    def confirm_request(self, counter: int, epoch: int = 1, **fields: Any) -> dict[str, Any]:
        """Arguments of `confirm`."""
        order = order_digest(encode_order(self.order(counter, **fields)))
        return {"app": APP, "release": self.digest, "order": order, "epoch": epoch}

    def revert_request(self, reason: str = "slow", epoch: int = 1) -> dict[str, Any]:
        """Arguments of `revert`."""
        return {"app": APP, "release": self.digest, "reason": reason, "epoch": epoch}


def utc(seconds_from_now: float) -> str:
    """A time as signed records have it."""
    return time_text(time.time() + seconds_from_now)


@functools.cache
def _folder() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="kedge-keys-")
    _KEPT.append(folder)
    return Path(folder.name)


_KEPT: list["tempfile.TemporaryDirectory[str]"] = []
