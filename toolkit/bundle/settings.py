"""What a release says that no file shows: hooks, gates, licences, and needs of its variants."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from device_agent.contract.manifest import Hooks
from toolkit.errors import ToolkitError

#: Largest file of settings.
_MOST_BYTES = 1 << 20

_HINT = "docs/bundle.md describes every key."


class BundleSettingsError(ToolkitError):
    """A file of settings is not right: nothing was built."""


@dataclass(frozen=True)
class VariantSettings:
    """Needs of one variant beside those that its model shows."""

    architectures: tuple[str, ...] = ()
    """Names that `uname -m` may print; empty for any."""
    memory_bytes: int = 0
    """Peak memory of the process; 0 for what was measured."""


@dataclass(frozen=True)
class BundleSettings:
    """Content of a file of settings."""

    hooks: Hooks = field(default_factory=Hooks)
    """Commands of the application."""
    gates: Mapping[str, float] = field(default_factory=dict)
    """Limits that the release demands, by name of a gate."""
    licences: Mapping[str, str] = field(default_factory=dict)
    """SPDX expression by what it is about: `app`, `model` or `data`."""
    variants: Mapping[str, VariantSettings] = field(default_factory=dict)
    """Needs by name of a variant."""


#: Things that have a licence.
LICENCE_SUBJECTS = ("app", "model", "data")


def read_bundle_settings(path: Path | None) -> BundleSettings:
    """Read a file of settings.

    Args:
        path: TOML file; `None` for no settings.

    Raises:
        BundleSettingsError: It cannot be read, or a key or a value is not right.
    """
    if path is None:
        return BundleSettings()
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            raise BundleSettingsError(f"{path}: has more than {_MOST_BYTES} bytes", _HINT)
        plain = tomlkit.parse(text.decode("utf-8")).unwrap()
    except OSError as error:
        raise BundleSettingsError(f"{path}: cannot be read: {error.strerror}", _HINT) from error
    except UnicodeDecodeError as error:
        raise BundleSettingsError(f"{path}: is not text in UTF-8", "Save it as UTF-8.") from error
    except TOMLKitError as error:
        raise BundleSettingsError(f"{path}: is not valid TOML: {error}", _HINT) from error
    try:
        return BundleSettings(**_read_table("", plain, _TABLES))
    except ValueError as error:
        raise BundleSettingsError(f"{path}: {error}", _HINT) from error


def _read_table(
    where: str, plain: object, readers: Mapping[str, Callable[[str, Any], Any]]
) -> dict[str, Any]:
    if not isinstance(plain, dict):
        raise ValueError(f"{where}: expected a table, found {plain!r}")
    for key in plain:
        if key not in readers:
            place = f" in [{where}]" if where else ""
            raise ValueError(f"there is no key {key!r}{place}; known are {', '.join(readers)}")
    path = f"{where}." if where else ""
    return {key: readers[key](path + key, value) for key, value in plain.items()}


def _hooks(where: str, plain: object) -> Hooks:
    return Hooks(**_read_table(where, plain, {"reload": _command, "health": _command}))


def _command(where: str, value: object) -> list[str]:
    words = list(_texts(where, value))
    if not words or not words[0].startswith("/"):
        raise ValueError(f"{where}: expected a list with an absolute path first, found {value!r}")
    return words


def _texts(where: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise ValueError(f"{where}: expected a list of texts, found {value!r}")
    return tuple(map(str, value))


def _gates(where: str, plain: object) -> dict[str, float]:
    if not isinstance(plain, dict):
        raise ValueError(f"{where}: expected a table of limits, found {plain!r}")
    return {str(name): _limit(f"{where}.{name}", value) for name, value in plain.items()}


def _limit(where: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{where}: expected a number, found {value!r}")
    return float(value)


def _licences(where: str, plain: object) -> dict[str, str]:
    return _read_table(where, plain, dict.fromkeys(LICENCE_SUBJECTS, _text))


def _text(where: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{where}: expected a text, found {value!r}")
    return str(value)


def _bytes(where: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 60:
        raise ValueError(f"{where}: expected a number of bytes, found {value!r}")
    return int(value)


def _variants(where: str, plain: object) -> dict[str, VariantSettings]:
    if not isinstance(plain, dict):
        raise ValueError(f"{where}: expected a table for each variant, found {plain!r}")
    readers = {"architectures": _texts, "memory_bytes": _bytes}
    return {
        str(name): VariantSettings(**_read_table(f"{where}.{name}", entry, readers))
        for name, entry in plain.items()
    }


_TABLES = {"hooks": _hooks, "gates": _gates, "licences": _licences, "variants": _variants}
