"""Bounds of .npy and .npz files."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from converters.data.array_file import ARRAY_DAMAGE, array_of, check_array_sizes


def npy(header: str, content: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    text = header.encode() + b" " * 10 + b"\n"
    width = "<H" if version == b"\x01\x00" else "<I"
    return b"\x93NUMPY" + version + struct.pack(width, len(text)) + text + content


def header(shape: str, descr: str = "'<f4'") -> str:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"


def in_npz(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", content)
    return buffer.getvalue()


HOSTILE = {
    "huge": npy(header("(1000000000000, 8)"), bytes(64)),
    "one more": npy(header("(17,)"), bytes(64)),
    "negative": npy(header("(-1, 8)"), bytes(64)),
    "overflow": npy(header("(9223372036854775807, 9223372036854775807)")),
    "deep": npy(header("(" * 3000 + ")" * 3000)),
    "text": npy(header("'abc'")),
    "no dtype": npy(header("(2,)", "'nonsense'"), bytes(64)),
    "version": npy(header("(2,)"), bytes(64), b"\x09\x00"),
    "cut": npy(header("(2,)"))[:20],
    "long": npy(header("(2,)") + " " * 100_000, bytes(8), b"\x02\x00"),
}


@pytest.mark.parametrize("pack", [bytes, in_npz], ids=["npy", "npz"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_header_that_does_not_fit_its_file_is_refused(
    name: str, pack: Callable[[bytes], bytes]
) -> None:
    with pytest.raises(ARRAY_DAMAGE):
        check_array_sizes(io.BytesIO(pack(HOSTILE[name])))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 8), np.float32),
        np.zeros((0, 8), np.int8),
        np.array(1.5),
        np.asfortranarray(np.ones((4, 3))),
        np.zeros(2, [("é", np.float32), ("b", np.int8, (2, 2))]),
        np.zeros(3, "U5"),
        np.zeros((2, 2), ">f8"),
    ],
)
def test_what_numpy_writes_is_taken(array: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", array)
    np.savez_compressed(tmp_path / "x.npz", x=array)
    for name in ("x.npy", "x.npz"):
        with (tmp_path / name).open("rb") as stream:
            check_array_sizes(stream)
            assert stream.tell() == 0
            np.load(stream)


def test_an_npz_is_bounded_once_it_is_unpacked() -> None:
    bomb = in_npz(npy(header("(4194304,)"), bytes(2**24)))
    with pytest.raises(ValueError, match="its file can hold"):
        check_array_sizes(io.BytesIO(bomb), 2 * len(bomb))
    check_array_sizes(io.BytesIO(bomb))


def test_a_member_that_is_no_array_is_named() -> None:
    with np.load(io.BytesIO(in_npz(b"no array"))) as file, pytest.raises(ValueError, match="x"):
        array_of(file, "x")
