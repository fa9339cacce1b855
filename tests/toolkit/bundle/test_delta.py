"""A delta leads to exactly the new file, is never larger than that, and is not trusted."""

import hashlib
import io
import lzma
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.formats import FORMATS
from converters.model_file import StoredTensor
from device_agent.contract.codes import BAD_REQUEST, DIGEST_MISMATCH, RefusalError
from device_agent.contract.delta_format import (
    MAGIC,
    PATCH,
    SECTIONS,
    TENSOR,
    XZ,
    unzigzag,
    zigzag,
)
from device_agent.contract.varint import read_varint, write_varint
from device_agent.store.delta import ALGORITHMS, add_numbers, apply_delta
from tests.tiny_model import relu_model
from toolkit.bundle import delta as delta_module
from toolkit.bundle.delta import FULL, Delta, best_delta
from toolkit.bundle.delta_cache import DeltaCache
from toolkit.bundle.delta_content import encode_parts, encode_whole
from toolkit.bundle.delta_parts import DeltaPart, match_bytes, match_tensors
from toolkit.errors import ToolkitError

SHARED_MODELS = Path(__file__).resolve().parents[4] / "shared" / "models"
INT8_MODEL = SHARED_MODELS / "mlperf_tiny_ic_int8.tflite"


def decode(algorithm: str, content: bytes, old: bytes | None, new: bytes) -> bytes:
    """What a board makes of a delta that is announced as `new`."""
    out = io.BytesIO()
    base = None if old is None else io.BytesIO(old)
    digest = hashlib.sha256(new).hexdigest()
    apply_delta(algorithm, io.BytesIO(content), base, len(new), digest, out.write)
    return out.getvalue()


def patch(old: bytes, new: bytes, parts: Sequence[DeltaPart] | None = None) -> bytes:
    content = encode_parts(old, new, match_bytes(old, new) if parts is None else parts)
    assert content is not None
    return content


@st.composite
def two_files(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """An arbitrary file, and one with arbitrary pieces of it."""
    old = draw(st.binary(max_size=3000))
    pieces = []
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, len(old)))
        pieces.append(old[start : start + draw(st.integers(0, 1000))])
        pieces.append(draw(st.binary(max_size=100)))
    return old, b"".join(pieces)


@given(two_files())
@settings(max_examples=150, deadline=None)
def test_a_patch_leads_to_the_new_file(files: tuple[bytes, bytes]) -> None:
    old, new = files
    assert decode(PATCH, patch(old, new), old, new) == new


@given(st.binary(max_size=5000))
@settings(max_examples=50, deadline=None)
def test_a_whole_file_arrives(new: bytes) -> None:
    assert decode(XZ, encode_whole(new), None, new) == new


@st.composite
def two_models(
    draw: st.DrawFn,
) -> tuple[bytes, bytes, list[StoredTensor], list[StoredTensor]]:
    """Two files with tensors at any places; some of them overlap, or have the name of another."""
    files: list[tuple[bytes, list[StoredTensor]]] = []
    for _ in range(2):
        content = draw(st.binary(max_size=2000))
        tensors = []
        for _ in range(draw(st.integers(0, 4))):
            dtype = draw(st.sampled_from(["int8", "int16", "int32", "float32", "int4"]))
            size = draw(st.integers(0, min(400, len(content))))
            offset = draw(st.integers(0, len(content) - size))
            tensors.append(StoredTensor(draw(st.sampled_from("abc")), dtype, (size,), offset, size))
        files.append((content, tensors))
    return files[0][0], files[1][0], files[0][1], files[1][1]


@given(two_models())
@settings(max_examples=150, deadline=None)
def test_tensors_at_any_places_lead_to_the_new_file(
    models: tuple[bytes, bytes, list[StoredTensor], list[StoredTensor]],
) -> None:
    old, new, old_tensors, new_tensors = models
    parts = match_tensors(old, new, old_tensors, new_tensors)
    if parts:
        assert decode(TENSOR, patch(old, new, parts), old, new) == new


@given(two_files(), st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_delta_is_refused_or_harmless(
    files: tuple[bytes, bytes], data: st.DataObject
) -> None:
    old, new = files
    content = bytearray(patch(old, new))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    assert _refused_or_right(bytes(content), old, new)


@given(two_files(), st.data())
@settings(max_examples=50, deadline=None)
def test_a_cut_or_longer_delta_is_refused(files: tuple[bytes, bytes], data: st.DataObject) -> None:
    old, new = files
    content = patch(old, new)
    cut = content[: data.draw(st.integers(0, len(content) - 1))]
    for damaged in (cut, content + b"\0"):
        with pytest.raises(RefusalError) as refusal:
            decode(PATCH, damaged, old, new)
        assert refusal.value.code == DIGEST_MISMATCH


@given(st.binary(max_size=500), st.binary(max_size=500))
@settings(max_examples=200, deadline=None)
def test_arbitrary_bytes_are_no_delta(content: bytes, old: bytes) -> None:
    for algorithm in ALGORITHMS:
        with pytest.raises(RefusalError):
            decode(algorithm, MAGIC + content, old, b"what nobody can make")


def _refused_or_right(content: bytes, old: bytes, new: bytes) -> bool:
    try:
        return decode(PATCH, content, old, new) == new
    except RefusalError as error:
        return error.code == DIGEST_MISMATCH


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_endless_output_ends_at_the_announced_size(algorithm: str) -> None:
    old = b"base"
    zeros = bytes(64 << 20)
    content = encode_whole(zeros) if algorithm == XZ else patch(old, zeros)
    written = 0

    def write(piece: bytes) -> None:
        nonlocal written
        written += len(piece)

    with pytest.raises(RefusalError) as refusal:
        apply_delta(algorithm, io.BytesIO(content), io.BytesIO(old), 1000, "0" * 64, write)
    assert refusal.value.code == DIGEST_MISMATCH
    assert written <= 1000


def test_a_delta_of_another_base_is_refused() -> None:
    old, new = b"weights " * 100, b"weights " * 90 + b"others"
    with pytest.raises(RefusalError, match="another file") as refusal:
        decode(PATCH, patch(old, new), b"W" + old[1:], new)
    assert refusal.value.code == DIGEST_MISMATCH


def test_a_dictionary_that_fills_the_memory_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 256 << 20}]
    with pytest.raises(RefusalError, match="damaged"):
        decode(XZ, lzma.compress(b"small", filters=filters), None, b"small")
    section = bytes([93, 31]) + b"rest"
    head = MAGIC + write_varint(len(section)) + b"\0" * (SECTIONS - 1)
    with pytest.raises(RefusalError, match="head of a section"):
        decode(PATCH, head + section, b"base", b"x")


def test_an_unknown_algorithm_names_the_known() -> None:
    with pytest.raises(RefusalError, match="patch-xz") as refusal:
        decode("zstd", b"", b"", b"")
    assert refusal.value.code == BAD_REQUEST


@given(st.integers(0, 200), st.sampled_from([1, 2, 4]), st.data())
@settings(max_examples=100, deadline=None)
def test_numbers_are_added_without_a_carry(count: int, width: int, data: st.DataObject) -> None:
    left, right = (
        data.draw(st.binary(min_size=count * width, max_size=count * width)) for _ in "ab"
    )
    total = add_numbers(left, right, width)
    for place in range(0, count * width, width):
        a, b, c = (int.from_bytes(x[place : place + width], "little") for x in (left, right, total))
        assert c == (a + b) % (1 << 8 * width)


@given(st.integers(0, (1 << 63) - 1), st.integers(-(1 << 61), 1 << 61))
def test_numbers_are_read_as_written(count: int, distance: int) -> None:
    assert read_varint(write_varint(count) + b"rest", 0) == (count, len(write_varint(count)))
    assert unzigzag(zigzag(distance)) == distance


class TestBestDelta:
    """The choice of the form in which a file is sent."""

    def test_two_models_with_other_weights_travel_as_differences(self, tmp_path: Path) -> None:
        if not INT8_MODEL.exists():
            pytest.skip(f"{INT8_MODEL} is not on this computer")
        old = INT8_MODEL.read_bytes()
        new = _with_noise(INT8_MODEL)
        delta = _best(tmp_path, old, new)
        assert delta.algorithm == TENSOR
        assert delta.size < 0.8 * len(encode_whole(new))
        assert delta.note == ""
        assert decode(delta.algorithm, delta.content, old, new) == new

    def test_a_file_with_equal_parts_travels_as_a_patch(self, tmp_path: Path) -> None:
        old = _noise(4000, 1)
        new = old[:1000] + b"another head" + old[1500:]
        delta = _best(tmp_path, old, new)
        assert delta.algorithm == PATCH
        assert delta.base == hashlib.sha256(old).hexdigest()
        assert delta.size < 200

    def test_where_nothing_is_equal_the_whole_file_is_sent_and_a_sentence_says_so(
        self, tmp_path: Path
    ) -> None:
        old, new = _noise(4000, 1), _noise(4000, 2)
        delta = _best(tmp_path, old, new)
        assert (delta.algorithm, delta.size, delta.base) == (FULL, 4000, "")
        assert "gains nothing" in delta.note
        text = b"labels of an unrelated model\n" * 50
        delta = _best(tmp_path, old, text)
        assert delta.algorithm == XZ
        assert "gains nothing" in delta.note

    def test_without_a_base_nothing_is_said(self, tmp_path: Path) -> None:
        delta = best_delta(None, _file(tmp_path, "new", relu_model()))
        assert delta.base == ""
        assert delta.note == ""

    def test_a_delta_is_built_once(self, tmp_path: Path) -> None:
        cache = DeltaCache(tmp_path / "deltas")
        old, new = _noise(4000, 1), _noise(4000, 1)[:-1]
        first = _best(tmp_path, old, new, cache)
        (entry,) = cache.folder.iterdir()
        assert first == _best(tmp_path, old, new, cache)
        content = bytearray(entry.read_bytes())
        content[-1] ^= 1
        entry.write_bytes(content)
        assert first == _best(tmp_path, old, new, cache)
        assert entry.read_bytes() != content

    def test_a_delta_for_the_next_board_is_a_look_up(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        paths = _file(tmp_path, "old", b"a" * 9000), _file(tmp_path, "new", b"a" * 9000 + b"b")
        first = best_delta(*paths)
        monkeypatch.setattr(delta_module, "_read", pytest.fail)
        assert best_delta(*paths) == first

    def test_a_file_that_is_too_large_is_sent_as_it_is(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(delta_module, "MOST_DELTA_BYTES", 1000)
        monkeypatch.setattr(delta_module, "_read", pytest.fail)
        big = _file(tmp_path, "big", b"a" * 1001)
        digest = hashlib.sha256(b"a" * 1001).hexdigest()
        form = best_delta(big, big)
        assert (form.algorithm, form.target, form.size) == (FULL, digest, 1001)

    def test_the_cache_has_a_bound(self, tmp_path: Path) -> None:
        cache = DeltaCache(tmp_path / "deltas", limit_bytes=9000)
        for seed in range(1, 5):
            cache.put("a" * 64, f"{seed}" * 64, ("patch-xz", _noise(4000, seed)))
        assert cache.get("a" * 64, "1" * 64) is None
        assert cache.get("a" * 64, "4" * 64) == ("patch-xz", _noise(4000, 4))
        assert sum(path.stat().st_size for path in cache.folder.iterdir()) <= 9000

    def test_a_cache_that_cannot_be_written_is_done_without(self, tmp_path: Path) -> None:
        cache = DeltaCache(_file(tmp_path, "no_folder", b"") / "deltas")
        assert _best(tmp_path, b"a" * 100, b"b" * 100, cache).size < 100

    def test_a_file_that_is_gone_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ToolkitError, match="gone"):
            best_delta(None, tmp_path / "gone")


def _best(folder: Path, old: bytes, new: bytes, cache: DeltaCache | None = None) -> Delta:
    return best_delta(_file(folder, "old", old), _file(folder, "new", new), cache)


def _file(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def _noise(size: int, seed: int) -> bytes:
    digests = (hashlib.sha256(b"%d %d" % (seed, n)).digest() for n in range(size // 32 + 1))
    return b"".join(digests)[:size]


def _with_noise(path: Path) -> bytes:
    """A model whose numbers all differ by up to 12, as after fine-tuning."""
    content = bytearray(path.read_bytes())
    changes = _noise(len(content), 3)
    for tensor in FORMATS["tflite"].stored_tensors(path):
        for place in range(tensor.offset, tensor.offset + tensor.size):
            content[place] = (content[place] + changes[place] % 25 - 12) % 256
    return bytes(content)
