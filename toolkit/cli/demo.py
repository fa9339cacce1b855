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

    rows = run_demo(folder, output.say)
    output.table(
        f"\nOn {rows[0].measurement['place']}",
        ["recipe", "accuracy", "held-out", "size", "median latency", "97 % interval", "outputs"],
        [_row(row) for row in rows],
    )
    output.say(
        "accuracy: of the .tflite itself, on images that neither training nor calibration saw"
    )
    output.say("outputs: the board's against this host's, over the same held-out images")
    output.say(
        "int8 may be slower than float32 on an x86 CPU without VNNI; ARM boards gain from it"
    )
    for row in rows:
        if row.measurement["verdict"] != "VALID":
            reasons = "; ".join(row.measurement["reasons"])
            output.warn(f"the latency of {row.recipe} is {row.measurement['verdict']}: {reasons}")
    output.say(
        "\nThe demo's SSH server has ended. To go on with these files:\n"
        f"    . .venv/bin/activate; cd {folder}; kedge target add here local\n"
        "With your own board and model, in a folder of your own:\n"
        "    kedge target add pi USER@HOST\n"
        "    kedge convert-and-push MODEL --data DATA --to pi"
    )


def _row(row: DemoRow) -> list[str]:
    accuracy = row.conversion["accuracy"]
    low, high = row.measurement["invoke_ci_us"]
    return [
        row.recipe,
        words.percent(accuracy["correct"] / accuracy["samples"]),
        str(accuracy["samples"]),
        words.size(row.conversion["model_bytes"]),
        words.duration(row.measurement["invoke_median_us"]),
        f"{words.duration(low)} to {words.duration(high)}",
        row.measurement["parity"]["verdict"],
    ]
