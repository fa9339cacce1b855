"""Runs the whole arrow with the commands that a user would type, and prints each of them.

    train → convert: float32 as the reference; int8 by post-training quantization, which loses more
    than the limit; int8 by quantization-aware training, which does not → add a board → push →
    measure both on it

The board is this computer behind a real OpenSSH server on loopback; without one, `local`.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from targets.inventory import Inventory
from targets.project_file import FILE_NAME
from toolkit.demo.sshd import start_sshd
from toolkit.demo.sshd_files import SshdUnavailableError
from toolkit.errors import ToolkitError

BOARD = "demo-board"
REFERENCE, POST_TRAINING, CONVERTED = "float32", "ptq_w8a8", "qat_w8a8"

#: Largest loss of accuracy that the demo allows.
MAX_DROP = "2%"

#: Exit code of a conversion that loses more than its limit.
_NOT_HELD = 8
#: Measured, but not trustworthy: a figure to show with its verdict, no reason to stop.
_NOT_TRUSTED = 9

Announce = Callable[[str], None]


class DemoError(ToolkitError):
    """A command of the demo failed; it has said why."""


@dataclass(frozen=True)
class DemoRow:
    """One model of the demo: its conversion, and its figures on the board."""

    recipe: str
    conversion: dict[str, Any]
    """The contents of conversion.json."""
    measurement: dict[str, Any]
    """Result of the measurement, as `kedge results show --json` prints it."""


@dataclass(frozen=True)
class DemoOutcome:
    """Models of the demo, and where they ran."""

    rows: tuple[DemoRow, ...]
    """The float32 reference and the int8 model."""
    post_training_drop: float
    """Accuracy that post-training quantization loses on the validation samples, 0-1."""
    over_ssh: bool
    """Whether the board was behind an SSH server."""


def run_demo(folder: Path, announce: Announce) -> DemoOutcome:
    """Run the demo.

    Args:
        folder: Folder for its files; may hold those of an earlier demo.
        announce: Called with each line that a person should read.

    Raises:
        DemoError: A step failed; its own message was shown.
        ToolkitError: The folder is a project of the user's.
    """
    folder = folder.absolute()
    _make_folder(folder)
    commands = _Commands(folder, announce)
    announce(f"All files are in {folder}; repeat any step there with your own model.")
    commands.run("python", "-m", "converters.digits_bit_errors", "--out", ".")
    convert = ["convert", "digits.keras", "--data", "digits.npz"]
    commands.run("kedge", *convert, "--recipe", REFERENCE, "--out", REFERENCE)
    announce(f"\nInt8 without training. It may lose {MAX_DROP} of accuracy; the limit is a gate:")
    # The milder recipe that kedge then tries keeps the limit on some machines only.
    commands.run(
        *["kedge", *convert, "--recipe", POST_TRAINING, "--max-drop", MAX_DROP],
        *["--out", POST_TRAINING],
        allowed=(_NOT_HELD,),
    )
    lost = _first_drop(_conversion_of(folder, POST_TRAINING))
    announce(f"\nPost-training quantization lost {lost:.1%} of accuracy. Int8 with training:")
    commands.run(
        *["kedge", *convert, "--recipe", CONVERTED, "--max-drop", MAX_DROP, "--out", CONVERTED]
    )
    with _board(folder, announce) as (add, over_ssh):
        commands.run("kedge", "target", "add", BOARD, *add)
        rows = tuple(_measure(folder, recipe, commands) for recipe in (REFERENCE, CONVERTED))
    return DemoOutcome(rows, lost, over_ssh)


def _measure(folder: Path, recipe: str, commands: _Commands) -> DemoRow:
    model = f"{recipe}/model.tflite"
    commands.run("kedge", "push", model, "--to", BOARD)
    commands.run("kedge", "bench", model, "--on", BOARD, allowed=(_NOT_TRUSTED,))
    (newest,) = commands.ask("kedge", "results", "list", "--last", "1", "--json")["results"]
    measurement = commands.ask("kedge", "results", "show", str(newest["id"]), "--json")
    return DemoRow(recipe, _conversion_of(folder, recipe), measurement)


def _conversion_of(folder: Path, recipe: str) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads((folder / recipe / "conversion.json").read_text())
    return plain


def _first_drop(conversion: dict[str, Any]) -> float:
    """Return the accuracy that the recipe lost as the user named it, 0-1."""
    drop = conversion["attempts"][0]["drop"]
    lost: float = (drop["lost"] - drop["won"]) / drop["samples"]
    return lost


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ToolkitError(f"cannot make {folder}: {error.strerror or error}") from error
    if (folder / FILE_NAME).exists():
        inventory = Inventory(folder / FILE_NAME)
        if set(inventory.targets) - {BOARD}:
            raise ToolkitError(
                f"{folder} is a project with boards of its own", "Name another --dir."
            )
        if BOARD in inventory.targets:
            inventory.remove(BOARD)
    else:
        (folder / FILE_NAME).touch()  # the project is here, not in a folder above


@contextmanager
def _board(folder: Path, announce: Announce) -> Iterator[tuple[list[str], bool]]:
    """Start the board; yield its arguments of `kedge target add`, and whether SSH leads to it."""
    root = ["--root", str(folder / "board")]
    try:
        sshd = start_sshd(folder / "sshd")
    except SshdUnavailableError as error:
        announce(f"The board: this computer without SSH ({error})")
        yield ["local", *root], False
        return
    with sshd:
        announce(f"The board: this computer behind an SSH server of its own, {sshd.address}")
        identity = ["--identity", str(sshd.identity), "--host-key", sshd.host_key_fingerprint]
        yield [sshd.address, *identity, *root], True


class _Commands:
    """Runs commands in the demo's folder."""

    def __init__(self, folder: Path, announce: Announce) -> None:
        self._folder = folder
        self._announce = announce

    def run(self, *words: str, allowed: tuple[int, ...] = ()) -> None:
        """Show a command, and run it with its output for a person.

        Args:
            words: The command and its arguments.
            allowed: Exit codes, besides 0, with which the demo continues.

        Raises:
            DemoError: The command ended with another exit code.
        """
        self._announce(f"\n$ {shlex.join(words)}")
        self._start(words, None, allowed)

    def ask(self, *words: str) -> dict[str, Any]:
        """Run a command that prints JSON, without showing it."""
        answer = json.loads(self._start(words, subprocess.PIPE, ()).stdout)
        assert isinstance(answer, dict)
        return answer

    def _start(
        self, words: tuple[str, ...], stdout: int | None, allowed: tuple[int, ...]
    ) -> subprocess.CompletedProcess[bytes]:
        program = {"python": [sys.executable], "kedge": [sys.executable, "-m", "toolkit.cli"]}
        # TensorFlow chats on standard error while it is imported; ours says all it has to say.
        quiet = subprocess.DEVNULL if words[0] == "python" else None
        done = subprocess.run(
            [*program[words[0]], *words[1:]],
            cwd=self._folder,
            stdout=stdout,
            stderr=quiet,
            check=False,
        )
        if done.returncode not in (0, *allowed):
            raise DemoError(f"the demo stopped: `{words[0]} {words[1]} …` failed as it says above")
        return done
