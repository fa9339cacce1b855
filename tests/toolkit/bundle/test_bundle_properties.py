"""Whatever is done to a bundle ends in a sentence; whatever is written is read again."""

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device_agent.contract.codes import IntegrityError
from device_agent.contract.manifest import (
    Blob,
    Hooks,
    Manifest,
    Variant,
    encode_manifest,
    manifest_digest,
    parse_manifest,
)
from device_agent.contract.records import RecordError
from device_agent.contract.signed_text import canonical
from tests.toolkit.bundle.small_bundle import small_manifest, write_small
from tests.toolkit.bundle.test_choice import CPU
from toolkit.bundle.bundle_file import (
    Bundle,
    BundleError,
    blob_chunks,
    read_bundle,
    verify_bundle,
    write_bundle,
)
from toolkit.bundle.choice import choose_variant
from toolkit.report.bundle import describe_bundle, plain_bundle

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


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


def places(plain: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value in a JSON document."""
    if isinstance(plain, dict):
        inner = [place for key in plain for place in places(plain[key], (*path, key))]
    elif isinstance(plain, list):
        inner = [place for n, value in enumerate(plain) for place in places(value, (*path, n))]
    else:
        inner = []
    return [path, *inner] if path else inner


@QUICK
@given(data=st.data())
def test_a_manifest_with_any_value_anywhere_is_refused_or_shown(
    data: st.DataObject, tmp_path: Path
) -> None:
    manifest = small_manifest(
        expires="2030-01-01T00:00:00Z",
        hooks=Hooks(["/bin/true"], ["/bin/true", "-v"]),
        gates={"parity": 1.0},
        provenance={"licences": {"app": "MIT"}, "variants": {"cpu_int8": {"accuracy": 0.9}}},
    )
    plain = json.loads(encode_manifest(manifest))
    place = data.draw(st.sampled_from(places(plain)))
    parent = plain
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = data.draw(JSON)
    with contextlib.suppress(RecordError, UnicodeEncodeError):
        accepted = parse_manifest(canonical(plain))
        text = encode_manifest(accepted)
        assert text == canonical(plain)
        bundle = Bundle(tmp_path, accepted, text, manifest_digest(text), (), {})
        describe_bundle(bundle, ())
        json.dumps(plain_bundle(bundle, ()))
        choose_variant(accepted, CPU)


@QUICK
@given(content=st.binary(max_size=400))
def test_any_bytes_end_in_a_sentence(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "odd"
    path.write_bytes(b"PK\3\4" + content)
    with pytest.raises((IntegrityError, BundleError)) as refused:
        read_bundle(path)
    assert str(refused.value)


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
