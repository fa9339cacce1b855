"""A bundle is the one that was written, or it is refused: every bit, every length, every entry."""

import hashlib
import os
import random
import stat
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from device_agent.contract.codes import IntegrityError
from device_agent.contract.manifest import Blob, Manifest, Variant, encode_manifest
from device_agent.contract.records import RecordError
from device_agent.contract.signed_text import canonical, parse_canonical
from tests.toolkit.bundle.small_bundle import (
    CONTENT,
    DIGESTS,
    FILES,
    chunks_of_small,
    make_key,
    small_manifest,
    write_small,
)
from toolkit.bundle.bundle_file import (
    BundleError,
    extract_blob,
    read_bundle,
    unpack_variant,
    verify_bundle,
    write_bundle,
)
from toolkit.bundle.zip_layout import ZipEntry, entry_header, parse_header, zip_directory

MODEL_SHA256 = DIGESTS["model.tflite"]
BLOBS = {f"blobs/{sha256}": CONTENT[sha256] for sha256 in sorted(CONTENT)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_small(tmp_path / "cats.bundle", make_key(tmp_path / "key")).path


def refuse(path: Path) -> str:
    with pytest.raises(IntegrityError) as refusal:
        verify_bundle(read_bundle(path))
    return str(refusal.value)


def test_a_bundle_is_read_as_it_was_written(path: Path, tmp_path: Path) -> None:
    bundle = read_bundle(path)
    verify_bundle(bundle)

    assert bundle.manifest == small_manifest()
    assert bundle.digest == hashlib.sha256(bundle.manifest_text).hexdigest()
    assert len(bundle.signatures) == 1
    model = unpack_variant(bundle, "cpu_int8", tmp_path / "unpacked")
    assert model == tmp_path / "unpacked" / "model.tflite"
    for name, (_, content) in FILES.items():
        assert (tmp_path / "unpacked" / name).read_bytes() == content
    with pytest.raises(RecordError, match="no variant"):
        unpack_variant(bundle, "gpu", tmp_path / "unpacked")


def test_any_zip_program_can_list_it(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        names = [
            "manifest.json",
            "signatures/1.sig",
            *(f"blobs/{name}" for name in sorted(CONTENT)),
        ]
        assert archive.namelist() == names


def test_equal_files_give_equal_bytes(tmp_path: Path) -> None:
    first, second = (write_small(tmp_path / name).path.read_bytes() for name in ("a", "b"))
    assert first == second


def test_a_flipped_bit_anywhere_is_seen(path: Path) -> None:
    content = path.read_bytes()
    flip = random.Random(0)
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1 << flip.randrange(8)
        path.write_bytes(changed)
        assert refuse(path)


def test_a_file_that_is_cut_off_is_seen_wherever(path: Path) -> None:
    content = path.read_bytes()
    for length in range(0, len(content), 3):
        path.write_bytes(content[:length])
        assert refuse(path)


@pytest.mark.parametrize("more", [b"\0", b"PK\5\6" + bytes(18), b"x" * 100_000])
def test_a_file_with_more_bytes_is_refused(path: Path, more: bytes) -> None:
    path.write_bytes(path.read_bytes() + more)
    assert "something follows" in refuse(path)


def write_zip(path: Path, entries: list[tuple[zipfile.ZipInfo, bytes]]) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")  # about two entries of one name
        for info, content in entries:
            archive.writestr(info, content)


def entries_of(path: Path) -> list[tuple[zipfile.ZipInfo, bytes]]:
    with zipfile.ZipFile(path) as archive:
        return [(info, archive.read(info)) for info in archive.infolist()]


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def compressed(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


@pytest.mark.parametrize(
    ("info", "content", "words"),
    [
        (link("blobs/" + "0" * 64), b"/etc/passwd", "link"),
        (zipfile.ZipInfo("../../etc/passwd"), b"root", "leads out"),
        (zipfile.ZipInfo("/etc/passwd"), b"root", "leads out"),
        (zipfile.ZipInfo("manifest.json"), b"{}", "two files"),
        (zipfile.ZipInfo("blobs/" + MODEL_SHA256), b"another model", "two files"),
        (zipfile.ZipInfo("setup.py"), b"", "no bundle has"),
        (compressed("blobs/" + "0" * 64), bytes(50 << 20), "compressed"),
        (zipfile.ZipInfo("blobs/" + "0" * 64), b"not in the manifest", "something follows"),
    ],
)
def test_an_entry_too_many_is_refused(
    path: Path, info: zipfile.ZipInfo, content: bytes, words: str
) -> None:
    write_zip(path, [*entries_of(path), (info, content)])
    assert words in refuse(path)


def test_a_bundle_that_another_program_packed_is_refused(path: Path) -> None:
    write_zip(path, [(zipfile.ZipInfo(info.filename), text) for info, text in entries_of(path)])
    assert refuse(path)


@pytest.mark.parametrize("content", [b"", b"TFL3", b"PK", b"PK\3\4" + bytes(200)])
def test_another_file_is_no_bundle(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd").write_bytes(content)
    assert refuse(tmp_path / "odd")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for absent in (tmp_path / "absent", tmp_path):
        with pytest.raises(BundleError, match="cannot be read"):
            read_bundle(absent)


def change_manifest(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    """Write the bundle again with another manifest and all headers right."""
    plain = parse_canonical(read_bundle(path).manifest_text, "the manifest")
    change(plain)
    write_entries(path, {"manifest.json": canonical(plain), **BLOBS})


def write_entries(path: Path, files: dict[str, bytes]) -> None:
    """Write files as kedge lays them out."""
    entries, content = [], b""
    for name, part in files.items():
        entry = ZipEntry(name, len(part), zlib.crc32(part), len(content))
        entries.append(entry)
        content += entry_header(entry) + part
    path.write_bytes(content + zip_directory(entries))


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"blobs/" + "0" * 64: b"not in the manifest", **BLOBS}, "found 'blobs/0000"),
        (dict(list(BLOBS.items())[:1]), "something else"),
        (dict(reversed(BLOBS.items())), "expected the file"),
        ({"signatures/2.sig": b"", **BLOBS}, "signatures/2.sig"),
        ({"signatures/1.sig": b"x" * 20_000, **BLOBS}, "at most 16384"),
    ],
)
def test_files_that_the_manifest_does_not_name_are_refused(
    path: Path, files: dict[str, bytes], words: str
) -> None:
    write_entries(path, {"manifest.json": read_bundle(path).manifest_text, **files})
    assert words in refuse(path)


def test_a_manifest_larger_than_any_is_not_read(path: Path) -> None:
    write_entries(path, {"manifest.json": b"{" * (2 << 20), **BLOBS})
    assert "at most 1048576" in refuse(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda plain: plain["blobs"].clear(), "not among the blobs"),
        (lambda plain: plain["variants"][0]["files"].update({"../../x": MODEL_SHA256}), "path"),
        (lambda plain: plain["variants"][0]["host_files"].update({"a/../b": MODEL_SHA256}), "path"),
        (lambda plain: plain["blobs"][MODEL_SHA256].update(size=1 << 31), "expected 2147483648"),
        (lambda plain: plain["blobs"][MODEL_SHA256].update(size=1 << 32), "expected 4294967296"),
        (lambda plain: plain["blobs"][MODEL_SHA256].update(size=-1), "size"),
        (lambda plain: plain.update(counter=0), "counter"),
    ],
)
def test_a_manifest_that_no_release_may_have_is_refused(
    path: Path, change: Callable[[dict[str, object]], object], words: str
) -> None:
    change_manifest(path, change)
    assert words in refuse(path)


def test_a_bundle_of_a_newer_kedge_asks_for_an_update(path: Path) -> None:
    change_manifest(path, lambda plain: plain.update(schema=2))
    with pytest.raises(BundleError, match="schema 2") as refusal:
        read_bundle(path)
    assert "Update kedge" in refusal.value.hint


def test_a_damaged_file_is_not_extracted(path: Path, tmp_path: Path) -> None:
    bundle = read_bundle(path)
    content = bytearray(path.read_bytes())
    content[bundle.entries[MODEL_SHA256].content_offset] ^= 1
    path.write_bytes(content)

    with pytest.raises(IntegrityError, match="digest"):
        extract_blob(bundle, MODEL_SHA256, tmp_path / "model.tflite")
    assert not list(tmp_path.glob("*model*"))


def test_a_source_that_changes_meanwhile_leaves_no_bundle(tmp_path: Path) -> None:
    text = encode_manifest(small_manifest())
    with pytest.raises(IntegrityError, match="changed while"):
        write_bundle(tmp_path / "b", text, (), lambda sha256: iter([CONTENT[sha256][:-1], b"?"]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [(1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 32) + 9])
def test_sizes_beyond_32_bits_are_read_right(tmp_path: Path, size: int) -> None:
    """Headers and offsets only: the files are holes, which nobody hashes here."""
    large, last = "1" * 64, MODEL_SHA256
    manifest = Manifest(
        "cats",
        "1",
        1,
        "2026-11-30T12:00:00Z",
        {large: Blob(size, "data"), last: Blob(len(CONTENT[last]), "model")},
        [Variant("cpu", "tflite", "model.tflite", {"model.tflite": last, "large": large})],
    )
    text = encode_manifest(manifest)
    path, entries, offset = tmp_path / "large.bundle", [], 0
    with path.open("wb") as file:
        for name, length, crc in (
            ("manifest.json", len(text), zlib.crc32(text)),
            (f"blobs/{large}", size, 0),
            (f"blobs/{last}", len(CONTENT[last]), zlib.crc32(CONTENT[last])),
        ):
            entry = ZipEntry(name, length, crc, offset)
            assert parse_header(entry_header(entry), offset) == entry
            file.seek(offset)
            file.write(entry_header(entry))
            file.write(text if name == "manifest.json" else b"")
            file.write(CONTENT[last] if name.endswith(last) else b"")
            entries.append(entry)
            offset = entry.end
        file.seek(offset)
        file.write(zip_directory(entries))

    bundle = read_bundle(path)
    assert bundle.entries[large].size == size
    extract_blob(bundle, last, tmp_path / "model.tflite")
    with zipfile.ZipFile(path) as archive:
        assert archive.getinfo(f"blobs/{large}").file_size == size
        assert archive.read(f"blobs/{last}") == CONTENT[last]
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)
    assert "cut off" in refuse(path)


def test_a_full_disk_is_named_and_leaves_the_old_bundle(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = path.read_bytes()

    def fill(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fill)
    with pytest.raises(Exception, match="No space left") as refusal:
        write_bundle(path, encode_manifest(small_manifest()), (), chunks_of_small)
    assert refusal.value.exit_code == 6  # type: ignore[attr-defined]
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.glob(".*")] == []


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BundleError, match="it is a pipe"):
        read_bundle(tmp_path / "pipe")
