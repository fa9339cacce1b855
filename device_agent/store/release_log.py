"""The log of what happened to the releases of a board: records are added, and never changed.

A record is its length, its CRC-32 and JSON that holds the digest of the record before it. A power
cut may tear the last one, which is cut off. A full log is renamed, and the next one goes on with
its chain.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
import zlib
from typing import Any, Dict, Iterator, List, Optional, Tuple

from device_agent.board import boot
from device_agent.contract.records import RecordError, parse_json
from device_agent.store.durable import fsync_folder, open_file, rename_durably, write_all

#: A log of this size is full: some thousand records.
MOST_LOG_BYTES = 1 << 20

#: Largest record.
MOST_RECORD_BYTES = 1 << 16

_HEAD = struct.Struct(">II")
_NO_DIGEST = "0" * 64

Entry = Dict[str, Any]


class ReleaseLog:
    """The log in one folder."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self.path = os.path.join(folder, "journal")
        self._older = self.path + ".1"

    def append(self, event: str, fields: Entry) -> None:
        """Add a record; it is on the disk afterwards.

        Raises:
            OSError: It could not be written; the log ends where it ended before.
        """
        is_new = not os.path.lexists(self.path)
        handle = open_file(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        try:
            content = _read(handle)
            payloads, end = _split(content)
            if end < len(content):
                self._cut(handle, end, content)
            if end > MOST_LOG_BYTES:
                rename_durably(self.path, self._older)
                full, handle = handle, open_file(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
                os.close(full)
                is_new = True
            last = payloads[-1] if payloads else self._last_of_older()
            payload = _payload(event, fields, last)
            self._write(handle, _HEAD.pack(len(payload), zlib.crc32(payload)) + payload)
        finally:
            os.close(handle)
        if is_new:
            fsync_folder(self._folder)

    def entries(self) -> List[Entry]:
        """Return the records, the oldest first, up to the first that does not follow the others."""
        entries: List[Entry] = []
        before = b""
        for payload in self._payloads():
            entry = _parse(payload)
            if entry is None or (before and entry.get("before") != _digest(before)):
                break
            entries.append(entry)
            before = payload
        return entries

    def find(self, event: str, order: str, epoch: int) -> Optional[Entry]:
        """Return the last record of an event of an order and epoch; `None` for none."""
        record = None
        for payload in self._payloads():
            if order.encode("ascii") in payload:
                entry = _parse(payload) or {}
                key = (entry.get("event"), entry.get("order"), entry.get("epoch"))
                record = entry if key == (event, order, epoch) else record
        return record

    def _payloads(self) -> Iterator[bytes]:
        for path in (self._older, self.path):
            with contextlib.suppress(FileNotFoundError):
                handle = open_file(path, os.O_RDONLY)
                try:
                    payloads, _ = _split(_read(handle))
                finally:
                    os.close(handle)
                yield from payloads

    def _last_of_older(self) -> bytes:
        payloads = list(self._payloads())
        return payloads[-1] if payloads else b""

    def _cut(self, handle: int, end: int, content: bytes) -> None:
        """Cut off a torn last record; keep a copy of a log that is damaged before its end."""
        if not _is_torn(content[end:]):
            aside = open_file(self.path + ".damaged", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            try:
                write_all(aside, content)
            finally:
                os.close(aside)
        os.ftruncate(handle, end)

    def _write(self, handle: int, record: bytes) -> None:
        end = os.fstat(handle).st_size
        try:
            write_all(handle, record)
            os.fsync(handle)
        except BaseException:
            with contextlib.suppress(OSError):
                os.ftruncate(handle, end)
            raise


def _read(handle: int) -> bytes:
    parts = []
    os.lseek(handle, 0, os.SEEK_SET)
    for part in iter(lambda: os.read(handle, 1 << 20), b""):
        parts.append(part)
    return b"".join(parts)


def _split(content: bytes) -> Tuple[List[bytes], int]:
    """Return the whole records at the begin of a log, and where they end."""
    payloads, at = [], 0
    while at + _HEAD.size <= len(content):
        size, check = _HEAD.unpack_from(content, at)
        payload = content[at + _HEAD.size : at + _HEAD.size + size]
        if size > MOST_RECORD_BYTES or len(payload) < size or zlib.crc32(payload) != check:
            break
        payloads.append(payload)
        at += _HEAD.size + size
    return payloads, at


def _is_torn(rest: bytes) -> bool:
    """Whether bytes behind the whole records are one record whose write was cut short."""
    if len(rest) < _HEAD.size:
        return True
    size, _ = _HEAD.unpack_from(rest)
    return bool(size == 0 or len(rest) <= _HEAD.size + size <= _HEAD.size + MOST_RECORD_BYTES)


def _payload(event: str, fields: Entry, last: bytes) -> bytes:
    number = 0
    if last:
        entry = _parse(last)
        number = 0 if entry is None else int(entry["number"])
    own = {
        "number": number + 1,
        "before": _digest(last) if last else _NO_DIGEST,
        "event": event,
        "at": round(boot.wall_clock_s(), 3),
        "boot": boot.boot_id(),
    }
    return json.dumps(dict(fields, **own), sort_keys=True, separators=(",", ":")).encode("ascii")


def _parse(payload: bytes) -> Any:
    """Return a record; `None` where it is none of ours."""
    try:
        entry = parse_json(payload)
    except RecordError:
        return None
    is_record = isinstance(entry, dict) and type(entry.get("number")) is int
    return entry if is_record and isinstance(entry.get("event"), str) else None


def _digest(payload: bytes) -> str:
    return hashlib.sha256(payload).hexdigest()
