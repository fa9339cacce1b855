"""The chain of the journal's rows: each row has a hash of itself and of the row before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

#: Largest body of a row, in bytes of JSON; longer texts in it are cut.
MOST_BODY_BYTES = 1 << 16

#: Characters of a text where a body is too large.
_CUT_CHARACTERS = 500

#: Deepest nesting of a body that is not plain JSON.
_MOST_DEPTH = 16

#: Problems that are listed before the search ends.
MOST_PROBLEMS = 20

#: Texts that each gate has.
_GATE_TEXTS = frozenset({"name", "verdict", "figure"})

#: Raw columns of a row: number, at, epoch, who, rollout, kind, target, body, hash.
RawRow = tuple[int, float, int, str, int, str, str, str, bytes]


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One row of the journal."""

    number: int
    at: float
    """Seconds since 1970."""
    epoch: int
    """Epoch of the controller that wrote it; 0 for a wish of an operator."""
    who: str
    """Person and program that wrote it."""
    rollout: int
    """Number of the rollout; 0 for none."""
    kind: str
    """`lease`, `begin`, `members`, `intent`, `result`, `change`, `wave`, `wish`, `status`,
    `restore` or `rebuild`."""
    target: str
    """Name of the target; empty for the whole rollout."""
    body: Mapping[str, Any]
    """Plain values: step, result, state, reason, evidence."""

    @property
    def evidence(self) -> Mapping[str, Any]:
        """Evidence of a result or a check; empty for none, or where the row was changed."""
        evidence = self.body.get("evidence")
        return evidence if isinstance(evidence, dict) else {}

    @property
    def gates(self) -> tuple[Mapping[str, Any], ...]:
        """Gates that were judged; empty for none, or where the row was changed."""
        gates = self.evidence.get("gates")
        entries = gates if isinstance(gates, list) else []
        return tuple(entries) if all(map(_is_gate, entries)) else ()


def _is_gate(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(n), str) for n in _GATE_TEXTS)


def encode_body(body: Mapping[str, Any]) -> str:
    """Write the body of a row in its one form: ASCII, keys in order, no space.

    A body that is too large keeps its structure, with texts cut short; where that is not enough,
    evidence is replaced by its digest.
    """
    try:
        text = _encode(body)
    except (TypeError, ValueError, RecursionError):
        body = {key: _plain(value) for key, value in body.items()}
        text = _encode(body)
    if len(text) > MOST_BODY_BYTES:
        text = _encode({key: _shorten(value) for key, value in body.items()})
    if len(text) > MOST_BODY_BYTES:
        digest = hashlib.sha256(text.encode()).hexdigest()
        short = {key: value for key, value in body.items() if isinstance(value, int | float)}
        texts = {key: _shorten(value) for key, value in body.items() if isinstance(value, str)}
        text = _encode({**short, **texts, "evidence": {"too_large": len(text), "sha256": digest}})
    return text


def next_hash(before: bytes, row: tuple[int, float, int, str, int, str, str, str]) -> bytes:
    """Return the hash of a row.

    Args:
        before: Hash of the row before; empty for the first.
        row: Columns of the row without its hash.
    """
    text = json.dumps(row, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(before + text.encode("ascii")).digest()


def find_breaks(rows: Iterator[RawRow], head: tuple[int, bytes]) -> Iterator[str]:
    """Find rows that were changed, removed, inserted or moved.

    Args:
        rows: Rows in the order of their numbers.
        head: Number and hash of the last row, as they were noted apart from the rows.

    Yields:
        Sentences that name the row.
    """
    expected, before = 1, b""
    for row in rows:
        number = row[0]
        if number != expected:
            if number > expected:
                last = number - 1
                which = f"row {expected} is" if last == expected else f"rows {expected}-{last} are"
                yield f"{which} missing"
            else:
                yield f"row {number} has a number that no row has"
        elif next_hash(before, row[:8]) != row[8]:
            yield f"row {number} was changed, inserted or moved"
        expected, before = number + 1, row[8]
    if (expected - 1, before) != head:
        if expected <= head[0]:
            yield f"the last rows, {expected} to {head[0]}, are missing"
        elif expected - 1 > head[0]:
            yield f"row {head[0] + 1} and all after it were not written by kedge"
        else:
            yield f"row {expected - 1}, the last one, was exchanged"


def _encode(body: Mapping[str, Any]) -> str:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _plain(value: Any, depth: int = 0) -> Any:
    """Return a value as JSON has it; what JSON has not becomes a text."""
    if isinstance(value, Mapping) and depth < _MOST_DEPTH:
        return {str(key): _plain(entry, depth + 1) for key, entry in value.items()}
    if isinstance(value, list | tuple) and depth < _MOST_DEPTH:
        return [_plain(entry, depth + 1) for entry in value]
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return str(value)[:_CUT_CHARACTERS]


def _shorten(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= _CUT_CHARACTERS else value[:_CUT_CHARACTERS] + "…"
    if isinstance(value, Mapping):
        return {key: _shorten(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_shorten(entry) for entry in value]
    return value
