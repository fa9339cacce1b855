"""The forms of lists of boards, and how each is recognised by its name or its content."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from targets.imports.ansible_ini import read_ansible_ini
from targets.imports.ansible_yaml import read_ansible_yaml
from targets.imports.csv_list import read_csv
from targets.imports.row import MOST_LIST_BYTES, TargetListError, TargetRow

CSV, ANSIBLE_INI, ANSIBLE_YAML = "CSV", "Ansible inventory (INI)", "Ansible inventory (YAML)"

#: Functions from text and path to the boards of a list, by name of its form.
READERS: dict[str, Callable[[str, str], Iterator[TargetRow]]] = {
    CSV: read_csv,
    ANSIBLE_INI: read_ansible_ini,
    ANSIBLE_YAML: read_ansible_yaml,
}

_SUFFIXES = {
    ".csv": CSV,
    ".tsv": CSV,
    ".ini": ANSIBLE_INI,
    ".cfg": ANSIBLE_INI,
    ".yml": ANSIBLE_YAML,
    ".yaml": ANSIBLE_YAML,
}

#: First line that says something, where a name has no suffix, as Ansible's `hosts`.
_YAML_START = re.compile(r"(?:---|[\w.-]+:\s*(?:#.*)?)\Z")
_CSV_START = re.compile(r"(?=.*\bname\b)(?=.*\baddress\b)[^\[=]*[,;\t][^\[=]*\Z")


def read_list(path: Path) -> list[TargetRow]:
    """Read a list of boards.

    Raises:
        TargetListError: It cannot be read, is no text, or is not right; the message names the line.
    """
    try:
        if path.exists() and not path.is_file():
            raise TargetListError(f"{path}: is no regular file", "Name a file.")
        with path.open("rb") as file:
            content = file.read(MOST_LIST_BYTES + 1)
        text = content.decode("utf-8")
    except OSError as error:
        raise TargetListError(
            f"{path}: cannot be read: {error.strerror or error}", "Check the path."
        ) from error
    except UnicodeDecodeError as error:
        raise TargetListError(f"{path}: is no text in UTF-8", "Save it as UTF-8.") from error
    if len(content) > MOST_LIST_BYTES or "\0" in text:
        raise TargetListError(
            f"{path}: is no list of boards",
            f"kedge reads these: {', '.join(READERS)}, up to {MOST_LIST_BYTES >> 20} MiB.",
        )
    return list(READERS[recognise_form(path, text)](text, str(path)))


def recognise_form(path: Path, text: str) -> str:
    """Return the form of a list: by the suffix of its name, else by its first line."""
    form = _SUFFIXES.get(path.suffix.lower())
    if form is not None:
        return form
    lines = (line.strip() for line in text.removeprefix("\ufeff").splitlines())
    first = next((line for line in lines if line and line[0] not in "#;"), "")
    if _CSV_START.match(first):
        return CSV
    return ANSIBLE_YAML if _YAML_START.match(first) else ANSIBLE_INI
