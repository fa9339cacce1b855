"""A function of the user's own, written `module:function` and found in a folder.

It runs in the child process of a conversion only, where TensorFlow is.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from converters.errors import ConversionError

_FORM = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)\Z")
#: The last lines of a traceback that are shown.
_SHOWN_LINES = 20


@dataclass(frozen=True)
class UserFunction:
    """Where a function is."""

    folder: Path
    """Where its module is looked for first."""
    module: str
    """Its name, with dots."""
    name: str
    """Of the function."""

    def __str__(self) -> str:
        return f"{self.module}:{self.name}"

    def load(self) -> Callable[..., Any]:
        """Import it.

        Raises:
            ConversionError: There is no such module or function, or importing it fails.
        """
        found = getattr(self._imported(), self.name, None)
        if not callable(found):
            what = "is not a function" if found is not None else "is not in it"
            raise ConversionError(
                f"{self}: the module {self.module} was found, {self.name} {what}",
                "check the spelling: module:function",
            )
        function: Callable[..., Any] = found
        return function

    def call(self, *arguments: Any) -> Any:
        """Import and call it.

        Raises:
            ConversionError: It cannot be imported, or raises; then its traceback is the message.
        """
        function = self.load()
        try:
            return function(*arguments)
        except Exception as error:  # whatever the user's code raises
            raise self._failed(error) from error

    def source(self) -> Path | None:
        """The file of its module in the folder, or None."""
        below = self.folder.joinpath(*self.module.split("."))
        candidates = (below.with_suffix(".py"), below / "__init__.py")
        return next((path for path in candidates if path.is_file()), None)

    def _imported(self) -> ModuleType:
        # Last: a user's `keras.py` must not stand in the way of TensorFlow's.
        if str(self.folder) not in sys.path:
            sys.path.append(str(self.folder))
        path = self.source()
        known = sys.modules.get(self.module)
        if known is not None and (path is None or _is_of(known, path)):
            return known
        try:
            if path is None or known is not None or "." in self.module:
                return self._by_name(path)
            spec = importlib.util.spec_from_file_location(self.module, path)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[self.module] = module
            spec.loader.exec_module(module)
            return module
        except ConversionError:
            raise
        except Exception as error:  # whatever the user's code raises
            raise self._failed(error) from error

    def _by_name(self, path: Path | None) -> ModuleType:
        try:
            module = importlib.import_module(self.module)
        except ModuleNotFoundError as error:
            if error.name is None or not (self.module + ".").startswith(error.name + "."):
                raise  # it is there, but something that it imports is not
            raise ConversionError(
                f"{self}: there is no module {self.module} in {self.folder}",
                "run kedge from the folder of the module, or check the spelling",
            ) from error
        if path is not None and not _is_of(module, path):
            raise ConversionError(
                f"{self}: the name {self.module} is taken by {module.__file__}",
                f"give {path.name} another name",
            )
        return module

    def _failed(self, error: Exception) -> ConversionError:
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename in (__file__,):
            trace = trace.tb_next
        lines = "".join(traceback.format_exception(type(error), error, trace, chain=False))
        shown = "\n".join(lines.strip().splitlines()[-_SHOWN_LINES:])
        return ConversionError(f"{self} fails:\n{shown}", "correct the function")


def user_function(text: str, folder: Path) -> UserFunction | None:
    """What a text names, or None where it does not have the form `module:function`."""
    found = _FORM.match(text)
    return UserFunction(folder, found[1], found[2]) if found else None


def function_of_path(path: Path) -> UserFunction | None:
    """The function that is given in the place of a file: its folder is the path's.

    A file of that very name is a file.
    """
    there = os.path.exists(path)  # noqa: PTH110 - unlike Path.exists(), it never raises
    return None if there else user_function(path.name, path.parent)


def _is_of(module: ModuleType, path: Path) -> bool:
    return Path(getattr(module, "__file__", None) or "").resolve() == path.resolve()
