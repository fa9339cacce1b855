"""Whatever is done to a bundle ends in a sentence; whatever is written is read again."""

import contextlib
import hashlib
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device_agent.contract.codes import IntegrityError
from device_agent.contract.manifest import Blob, Manifest, Variant, encode_manifest
from tests.toolkit.bundle.small_bundle import write_small
from toolkit.bundle.bundle_file import (
    BundleError,
    blob_chunks,
    read_bundle,
    verify_bundle,
    write_bundle,
)

QUICK = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@QUICK
@given(data=st.data())
def test_bytes_that_are_replaced_moved_or_repeated_are_refused(
    data: st.DataObject, tmp_path: Path
) -> None:
    path = tmp_path / "cats.bundle"
    if not path.exists():
        write_small(path)
        (tmp_path / "content").write_bytes(path.read_bytes())
    content = (tmp_path / "content").read_bytes()
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, len(content)))
    middle = data.draw(
        st.one_of(st.binary(max_size=80), st.just(content[start:end] * 2), st.just(content))
    )
    changed = content[:start] + middle + content[end:]
    path.write_bytes(changed)

    refused = True
    with contextlib.suppress(IntegrityError, BundleError):
        verify_bundle(read_bundle(path))
        refused = False
    assert refused or changed == content


@QUICK
@given(content=st.binary(max_size=400))
def test_any_bytes_end_in_a_sentence(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "odd"
    path.write_bytes(b"PK\3\4" + content)
    with contextlib.suppress(IntegrityError, BundleError):
        read_bundle(path)


@QUICK
@given(
    contents=st.lists(st.binary(max_size=3000), min_size=1, max_size=6, unique=True),
    version=st.text(max_size=40),
    signatures=st.lists(st.binary(min_size=1, max_size=200), max_size=3),
)
def test_what_is_written_is_read_again(
    contents: list[bytes], version: str, signatures: list[bytes], tmp_path: Path
) -> None:
    files = {hashlib.sha256(content).hexdigest(): content for content in contents}
    model, *others = files
    blobs = {key: Blob(len(files[key]), "data") for key in others}
    blobs[model] = Blob(len(files[model]), "model")
    paths = {f"file{number}": key for number, key in enumerate(files)}
    version = version.encode("utf-8", "replace").decode()
    manifest = Manifest(
        "cats",
        version,
        1,
        "2026-11-30T12:00:00Z",
        blobs,
        [Variant("cpu", "tflite", "file0", paths)],
    )
    written = write_bundle(
        tmp_path / "b", encode_manifest(manifest), tuple(signatures), lambda key: iter([files[key]])
    )

    assert written.manifest == manifest
    assert written.signatures == tuple(signatures)
    assert {key: b"".join(blob_chunks(written, key)) for key in files} == files
