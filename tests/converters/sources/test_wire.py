"""The reader of protobuf messages never sees less than a parser does."""

from __future__ import annotations

import pytest

from converters.sources.wire import WireFormatError, message_fields, texts


def varint(number: int) -> bytes:
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def field(number: int, content: bytes, more: int = 0) -> bytes:
    return varint((number << 3 | 2) + more) + varint(len(content)) + content


def test_each_occurrence_of_a_field_is_read() -> None:
    message = field(2, b"a") + field(1, b"x") + field(2, b"b")
    assert texts(memoryview(message), 2) == ["a", "b"]
    assert [number for number, _ in message_fields(memoryview(message))] == [2, 1, 2]


@pytest.mark.parametrize(
    "message",
    [
        field(2, b"a", more=1 << 32),
        field(0, b"a"),
        field(2, b"abc")[:-1],
        varint(2 << 3 | 3),
        varint(2 << 3 | 2) + b"\xff" * 11,
        b"\x12",
    ],
    ids=["wide number", "number 0", "cut", "group", "endless", "no size"],
)
def test_what_parsers_read_differently_is_damage(message: bytes) -> None:
    with pytest.raises(WireFormatError):
        list(message_fields(memoryview(message)))


def test_a_number_that_is_written_longer_than_needed_is_the_same_number() -> None:
    assert list(message_fields(memoryview(b"\x88\x00\x05"))) == [(1, 5)]
