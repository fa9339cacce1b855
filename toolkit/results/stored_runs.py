"""Packs the runs of a result for the database, and reads them again. Pure."""

from __future__ import annotations

import json
import zlib
from array import array
from collections.abc import Mapping, Sequence

from device_agent.contract.conditions import conditions_from_json
from device_agent.contract.measurement import process_run_from_json
from device_agent.contract.packed import pack_times, unpack_times
from targets.board_run import BoardRun

#: Level of the compression: the next one takes twice the time and saves a tenth.
_LEVEL = 2

#: Largest size of one series: 16 million values of 8 bytes, hours of a soak.
_MOST_BYTES = 128 << 20


def pack_series(times_ns: Sequence[int]) -> bytes:
    """Compress a series of times."""
    return zlib.compress(pack_times(times_ns), _LEVEL)


def read_runs(
    rows: Sequence[tuple[str, str, bytes, bytes]], series: Sequence[tuple[int, str, bytes]]
) -> tuple[BoardRun, ...]:
    """Read the runs of a result.

    Args:
        rows: Record, conditions, samples and whole inferences of each run.
        series: Number of the run, name and values of each further series.

    Raises:
        ValueError: What was kept is not whole; the message says what is wrong.
    """
    if not rows:
        raise ValueError("its runs are missing")
    more: list[dict[str, array[int]]] = [{} for _ in rows]
    for position, name, data in series:
        if not (isinstance(position, int) and 0 <= position < len(more) and isinstance(name, str)):
            raise ValueError(f"a series belongs to a run {position!r} that it has not")
        more[position][name] = _unpack(data)
    return tuple(map(_read_run, rows, more))


def _read_run(row: tuple[str, str, bytes, bytes], series: Mapping[str, array[int]]) -> BoardRun:
    try:
        entries = json.loads(row[1])
        if not isinstance(entries, list):
            raise ValueError("the conditions of a run are no list")
        conditions = tuple(map(conditions_from_json, entries))
        run = process_run_from_json(json.loads(row[0]))
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"the record of a run is no such record: {error}") from error
    samples = _unpack(row[2])
    if not samples or len(samples) != run.sample_count:
        raise ValueError(f"{len(samples)} samples are left of {run.sample_count}")
    return BoardRun(run, samples, conditions, _unpack(row[3]), series)


def _unpack(data: bytes) -> array[int]:
    if not isinstance(data, bytes):
        raise ValueError(f"a series is {str(data)[:60]!r}")
    stream = zlib.decompressobj()
    try:
        values = stream.decompress(data, _MOST_BYTES)
    except zlib.error as error:
        raise ValueError(f"a series cannot be unpacked: {error}") from error
    if not stream.eof:
        raise ValueError("a series is cut, or larger than any that kedge keeps")
    return unpack_times(values)
