"""`kedge demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.cli import output
from toolkit.cli.options import file_path
from toolkit.report import words

if TYPE_CHECKING:
    from toolkit.demo.demo import DemoRow


@click.command("demo")
@click.option(
    "--dir",
    "folder",
    type=file_path(),
    default="kedge-demo",
    show_default=True,
    help="Folder for its files.",
)
def command(folder: Path) -> None:
    """Train a small model on handwritten digits, and take it through every step to a board.

    This takes about a minute. The board is this computer, behind an SSH server that the demo starts
    and ends. Every step is a command that you can repeat with your own model.

    \b
    kedge demo
    """
    from toolkit.demo.demo import run_demo

    outcome = run_demo(folder, output.say)
    rows = outcome.rows
    output.table(
        f"\nOn {rows[0].measurement['place']}",
        ["recipe", "accuracy", "size", "median latency", "verdict", "outputs"],
        [_row(row) for row in rows],
    )
    samples = rows[0].conversion["accuracy"]["samples"]
    output.say(
        "\n".join(f"{row.recipe} ran on {_placement(row)}" for row in rows)
        + f"\naccuracy: of the .tflite itself, on {samples} images that nothing was fitted to\n"
        "outputs: those of the board against those of this host, over the same images\n"
        f"ptq_w8a8 lost {words.percent(outcome.post_training_drop)} on the validation images"
    )
    if rows[1].measurement["invoke_median_us"] > rows[0].measurement["invoke_median_us"]:
        output.say("int8 is slower than float32 here: x86 CPUs without VNNI; ARM boards gain")
    output.say(
        f"\n{_END if outcome.over_ssh else ''}To go on with these files:\n"
        f"    . .venv/bin/activate; cd {folder}; kedge target add here local\n"
        "With your own board and model, in a folder of your own:\n"
        "    kedge target add pi USER@HOST\n"
        "    kedge convert-and-push MODEL --data DATA --to pi"
    )


_END = "The demo's SSH server has ended. "


def _row(row: DemoRow) -> list[str]:
    accuracy, measurement = row.conversion["accuracy"], row.measurement
    return [
        row.recipe,
        words.percent(accuracy["correct"] / accuracy["samples"]),
        words.size(row.conversion["model_bytes"]),
        words.duration(measurement["invoke_median_us"]),
        measurement["verdict"],
        measurement["parity"]["verdict"],
    ]


def _placement(row: DemoRow) -> str:
    text: str = (row.measurement["placement"] or {}).get("text", "kernels that are not reported")
    return text
