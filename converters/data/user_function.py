"""A user's function, written `module:function`; its module is searched in a folder first.

The function runs only in the child process of a conversion, which has TensorFlow.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from converters.errors import ConversionError

_FORM = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)\Z")
#: Number of the last lines of a traceback that a message shows.
_SHOWN_LINES = 20


@dataclass(frozen=True)
class UserFunction:
    """Place of a function."""

    folder: Path
    """Folder in which the module is searched first."""
    module: str
    """Name of the module, with dots."""
    name: str
    """Name of the function."""

    def __str__(self) -> str:
        return f"{self.module}:{self.name}"

    def load(self) -> Callable[..., Any]:
        """Import the function.

        Raises:
            ConversionError: There is no such module or function, or the import fails.
        """
        member = getattr(self._import_module(), self.name, None)
        if not callable(member):
            what = "is not a function" if member is not None else "is not in it"
            raise ConversionError(
                f"{self}: the module {self.module} was found, {self.name} {what}",
                "Check the spelling: module:function.",
            )
        function: Callable[..., Any] = member
        return function

    def call(self, *arguments: Any) -> Any:
        """Import the function and call it.

        Raises:
            ConversionError: The function cannot be imported, or it raises: then the end of its
                traceback is the message.
        """
        with self.inside_folder():
            function = self.load()
            try:
                return function(*arguments)
            except (Exception, SystemExit) as error:  # The user's code may raise anything.
                raise self._failure(error) from error

    @contextlib.contextmanager
    def inside_folder(self) -> Iterator[None]:
        """Work in `folder`, where the user's relative paths begin, and hand on what is printed."""
        before = Path.cwd()
        with contextlib.suppress(OSError):
            os.chdir(self.folder)
        try:
            with contextlib.redirect_stdout(_PrintedLines()):
                yield
        finally:
            os.chdir(before)

    def source(self) -> Path | None:
        """The file of the module in `folder`; None where it is not there."""
        below = self.folder.joinpath(*self.module.split("."))
        candidates = (below.with_suffix(".py"), below / "__init__.py")
        return next((path for path in candidates if path.is_file()), None)

    def _import_module(self) -> ModuleType:
        # At the end of the path: a user's `keras.py` must not replace the one of TensorFlow.
        if str(self.folder) not in sys.path:
            sys.path.append(str(self.folder))
        path = self.source()
        loaded = sys.modules.get(self.module)
        if loaded is not None and (path is None or _comes_from(loaded, path)):
            return loaded
        try:
            if path is None or loaded is not None or "." in self.module:
                return self._by_name(path)
            spec = importlib.util.spec_from_file_location(self.module, path)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[self.module] = module
            spec.loader.exec_module(module)
            return module
        except ConversionError:
            raise
        except (Exception, SystemExit) as error:  # The user's code may raise anything.
            raise self._failure(error) from error

    def _by_name(self, path: Path | None) -> ModuleType:
        try:
            module = importlib.import_module(self.module)
        except ModuleNotFoundError as error:
            if error.name is None or not (self.module + ".").startswith(error.name + "."):
                raise  # The module exists, but a module that it imports does not.
            raise ConversionError(
                f"{self}: there is no module {self.module} in {self.folder}",
                "Run kedge from the folder of the module, or check the spelling.",
            ) from error
        if path is not None and not _comes_from(module, path):
            raise ConversionError(
                f"{self}: the name {self.module} is taken by {module.__file__}",
                f"Give {path.name} another name.",
            )
        return module

    def _failure(self, error: BaseException) -> ConversionError:
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename in (__file__,):
            trace = trace.tb_next
        lines = "".join(traceback.format_exception(type(error), error, trace, chain=False))
        last_lines = "\n".join(lines.strip().splitlines()[-_SHOWN_LINES:])
        return ConversionError(f"{self} fails:\n{last_lines}", "Correct the function.")


class _PrintedLines(io.TextIOBase):
    """Standard output of a user's function: each line is handed on once it is whole."""

    def __init__(self) -> None:
        self._rest = ""

    def write(self, text: str) -> int:
        """Take a text, of several lines or of a part of one."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            printed.show(line)
        return len(text)


class _Printout:
    """Place that gets what users' functions print."""

    def __init__(self) -> None:
        self.show: Callable[[str], None] = lambda line: print(line, file=sys.stderr)  # noqa: T201 - for whoever runs it


#: Place for the lines that users' functions print: standard error, unless a process sets another.
printed = _Printout()


def user_function(text: str, folder: Path) -> UserFunction | None:
    """The function that a text names; None where its form is not `module:function`."""
    match = _FORM.match(text)
    return UserFunction(folder, match[1], match[2]) if match else None


def user_function_at(path: Path) -> UserFunction | None:
    """The function that stands in the place of a file, searched in the folder of the path.

    Returns:
        None where a file of that very name exists, or where the form is not `module:function`.
    """
    exists = os.path.exists(path)  # noqa: PTH110 - unlike Path.exists(), it never raises
    return None if exists else user_function(path.name, path.parent)


def _comes_from(module: ModuleType, path: Path) -> bool:
    return Path(getattr(module, "__file__", None) or "").resolve() == path.resolve()
