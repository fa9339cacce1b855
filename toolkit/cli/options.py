"""Options that several commands share."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

import click

from toolkit.cli.completion import complete_recipes, complete_targets

_UNITS_S = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|)\Z")
_SHARE = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?)\s*(%?)\Z")

#: The longest measurement that one command makes.
_LONGEST_S = 3600.0

Command = TypeVar("Command", bound=Callable[..., Any])


class Duration(click.ParamType[float]):
    """Seconds, written as `3s`, `500ms` or `2m`."""

    name = "duration"

    def __init__(self, longest_s: float = _LONGEST_S) -> None:
        self._longest_s = longest_s

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read a duration."""
        if isinstance(value, float):
            return value
        parts = _DURATION.match(str(value))
        seconds = float(parts[1]) * _UNITS_S[parts[2]] if parts else 0.0
        if not 0 < seconds <= self._longest_s:
            hours = f"{self._longest_s / 3600:.0f} h"
            self.fail(f"{value!r} is not a duration up to {hours} such as 3s or 500ms", param, ctx)
        return seconds


class FiniteRange(click.FloatRange):
    """A number within bounds; `nan` is refused, which a comparison alone would let pass."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read a number."""
        number = float(super().convert(value, param, ctx))
        if number != number:
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


class ShareRange(FiniteRange):
    """A share, written as `0.05` or `5%`."""

    name = "share"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read a share."""
        if not isinstance(value, str):
            return super().convert(value, param, ctx)
        parts = _SHARE.match(value.strip())
        if parts is None:
            self.fail(f"{value!r} is not a share such as 0.05 or 5%", param, ctx)
        text, sign = parts.groups()
        number = float(text)
        if not sign and 1 <= number < float("inf"):
            self.fail(
                f"{text} is a share of {100 * number:g} %; write {text}% for {text} %", param, ctx
            )
        return super().convert(0.0 + (number / 100 if sign else number), param, ctx)


def _is_number(text: str) -> bool:
    """Whether a text is a whole number; `"²".isdigit()` holds, and int() takes 4300 digits."""
    return text.isascii() and text.isdigit() and len(text) <= 9


class Threads(click.ParamType[tuple[int, ...]]):
    """A number of threads, or `sweep` for 1 up to the board's cores."""

    name = "threads"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Read a number of threads; empty for a sweep."""
        if isinstance(value, tuple):
            return value
        if value == "sweep":
            return ()
        if not _is_number(str(value)) or not 0 < int(value) <= 256:
            self.fail(f"{value!r} is neither a number from 1 to 256 nor `sweep`", param, ctx)
        return (int(value),)


class Streams(click.ParamType[tuple[int, ...]]):
    """Numbers of processes, with commas between them."""

    name = "streams"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Read the numbers, the smallest first and each once."""
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in str(value).split(",")]
        if not all(_is_number(part) and 0 < int(part) <= 64 for part in parts):
            self.fail(f"{value!r} is not a list of numbers from 1 to 64, such as 1,2,4", param, ctx)
        return tuple(sorted({int(part) for part in parts}))


class Since(click.ParamType[str]):
    """A day or a time (UTC), as the results have it."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read a day or a time."""
        if value == "":
            return ""
        try:
            moment = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
        except ValueError:
            self.fail(
                f"{value!r} is no day or time such as 2026-11-30 or 2026-11-30T18:00", param, ctx
            )
        moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        return moment.astimezone(timezone.utc).isoformat(timespec="seconds")


def read_label(text: str, option: str) -> tuple[str, str]:
    """Return the two sides of `KEY=VALUE`.

    Args:
        text: Text of the command line.
        option: Name of the option or argument, for the message.

    Raises:
        BadParameter: There is no `=`, or nothing before it.
    """
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise click.BadParameter(f"{text!r} is not KEY=VALUE", param_hint=option)
    return key, value


def file_path(**settings: Any) -> click.Path:
    """Take a path. The library checks whether it exists, and has the exit code for it."""
    return click.Path(path_type=Path, **settings)


target = click.option(
    "--on",
    "--to",
    "name",
    shell_complete=complete_targets,
    help="The target; not needed if kedge.toml has a single one.",
)

targets = click.option(
    "--on",
    "--to",
    "selection",
    shell_complete=complete_targets,
    help="Targets: NAME, A,B or LABEL=VALUE; not needed if kedge.toml has a single one.",
)

_WHEELHOUSE = "KEDGE_WHEELHOUSE"
_wheelhouse_help = "Folder with the board's wheels, instead of downloading them."

wheelhouse = click.option(
    "--wheelhouse", type=file_path(), envvar=_WHEELHOUSE, help=_wheelhouse_help
)
#: `wheelhouse` of a command with many options; `wheels` of a target in kedge.toml says it as well.
#: The page about commands would link the variable of an `envvar` to an option that it hides.
quiet_wheelhouse = click.option(
    "--wheelhouse",
    type=file_path(),
    default=lambda: os.environ.get(_WHEELHOUSE) or None,
    hidden=True,
    help=_wheelhouse_help,
)

threads = click.option(
    "--threads",
    type=Threads(),
    metavar="N|sweep",
    help="Threads of the runtime; sweep tries 1 up to the number of the board's cores. The default "
    "is the number in kedge.toml, otherwise 1.",
)

max_drop = click.option(
    "--max-drop",
    type=ShareRange(0, 1, max_open=True),
    help="Largest loss of accuracy, such as 1% (for an error: its growth); exit code 8 if more.",
)

quality = click.option(
    "--quality",
    type=click.Choice(["quick", "standard", "thorough"]),
    default="standard",
    show_default=True,
    help="Fresh processes and time for each row: 2 in 1s, 6 in 10s, or 12 in 60s.",
)

profile = click.option(
    "--profile",
    is_flag=True,
    help="Also show the time of each operator, if the runtime reports it.",
)


class Formats(click.ParamType[tuple[str, bool]]):
    """Formats of a conversion: that of the file, and whether the Keras model is written, too."""

    name = "formats"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, bool]:
        """Read names that are separated by commas."""
        if isinstance(value, tuple):
            return value
        names = {name.strip() for name in str(value).split(",")}
        files = names & {"tflite", "onnx", "both", "tensorrt"}
        if names - files - {"keras"} or ("tensorrt" in files and len(files) > 1):
            self.fail(
                f"{value!r}: use tflite, onnx, both or tensorrt, and keras besides", param, ctx
            )
        file_format = "both" if len(files) > 1 else next(iter(files), "tflite")
        return file_format, "keras" in names


def converting(command: Command) -> Command:
    """Add the options of a conversion."""
    for option in (
        click.option(
            "--format",
            "formats",
            type=Formats(),
            default="tflite",
            show_default=True,
            help="tflite, onnx (for ONNX Runtime), both, or tensorrt (an .onnx for TensorRT); with "
            "`,keras` also the trained model.",
        ),
        click.option(
            "--image-range",
            type=click.Choice(["0..255", "0..1", "-1..1"]),
            default="0..255",
            show_default=True,
            help="Range of the pixels that the model was trained on; for image folders.",
        ),
        click.option(
            "--seed",
            type=click.IntRange(0, 2**31 - 1),
            default=0,
            show_default=True,
            help="Seed of the split of the data and of all training.",
        ),
        click.option(
            "--recipe",
            shell_complete=complete_recipes,
            default="ptq_w8a8",
            show_default=True,
            help="ptq_w8a8, ptq_w8a16, ptq_f16, ptq_dynamic, ptq_weight_only, mixed_w8a8, "
            "qat_w8a8, sparse80_qat_w8a8, cluster16_qat_w8a8, blocks25_distill_qat_w8a8, "
            "channels50_distill_qat_w8a8, float32, or your own TOML file.",
        ),
        click.option(
            "--data",
            required=True,
            type=file_path(),
            help=".npz (x_train, y_train, x_test, y_test), a folder or .tar of images with "
            "one sub-folder for each class, or module:function; labels are optional.",
        ),
    ):
        command = option(command)
    return command


with_tag = click.option("--tag", default="", help="Only what has this tag (kedge results tag).")

since = click.option(
    "--since",
    type=Since(),
    default="",
    metavar="DATE",
    help="Only from this day or time (UTC) on, such as 2026-11-30 or 2026-11-30T18:00.",
)

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for a program.")

force = click.option(
    "--force",
    is_flag=True,
    help="Send a file that the board's runtime does not load by its release; shows what it "
    "overrides.",
)
