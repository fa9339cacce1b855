"""Runs the worked examples of examples/ as their READMEs say, and renews their tables.

    python -m benchmarks.examples                     # all of them; half an hour on two cores
    python -m benchmarks.examples anomaly_detection   # one

Each example is copied to a temporary folder, where the indented lines of its README are run one
after the other. The last of them gets `--json`; its answer is the table.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.machine import machine

FOLDER = Path(__file__).resolve().parents[1] / "examples"
#: Example to the file that its reader puts into its folder, where that file lies on this computer.
BROUGHT = {"image_classification_cifar10": FOLDER.parents[1] / "shared" / "data" / "cifar10.tar.gz"}
#: Everything between these lines of a README is written by this program.
BEGIN, END = "<!-- table -->", "<!-- end of table -->"

#: Rows of the comparison in their order, by what they are called in the table.
_ROWS = ("original", "quantized", "pruned")
#: Exit code of a measurement that is shown with its verdict.
_NOT_TRUSTED = 9


def main() -> None:
    """Run the examples that the command line names, or all of them."""
    for name in sys.argv[1:] or example_names():
        if name in BROUGHT and not BROUGHT[name].is_file():
            print(f"{name}: left out, {BROUGHT[name]} is not there")
            continue
        with tempfile.TemporaryDirectory() as folder:
            answer = run_example(name, Path(folder))
        text = table(answer)
        print(f"{name}\n{text}")
        write_table(FOLDER / name / "README.md", text)


def example_names() -> list[str]:
    """Return the names of all examples."""
    return sorted(path.parent.name for path in FOLDER.glob("*/train.py"))


def commands(readme: str) -> list[list[str]]:
    """Return the commands of a README: its indented lines."""
    return [shlex.split(line, comments=True) for line in re.findall(r"^    (\S.*)$", readme, re.M)]


def run_example(name: str, folder: Path) -> dict[str, Any]:
    """Run an example in a copy of its folder.

    Args:
        name: Name of the example.
        folder: Empty folder to copy it to.

    Returns:
        Answer of its last command, `kedge convert-and-push --json`.

    Raises:
        RuntimeError: A command failed; the message has its last words.
    """
    work = folder / name
    shutil.copytree(FOLDER / name, work, ignore=shutil.ignore_patterns("*.npz", "*.keras"))
    if name in BROUGHT:
        (work / BROUGHT[name].name).symlink_to(BROUGHT[name])
    *before, last = commands((work / "README.md").read_text(encoding="utf-8"))
    for command in before:
        _run(command, work, (0,))
    answer: dict[str, Any] = json.loads(_run([*last, "--json"], work, (0, _NOT_TRUSTED)))
    return answer


def _run(command: list[str], work: Path, codes: tuple[int, ...]) -> str:
    programs = {"python": [sys.executable], "kedge": [sys.executable, "-m", "toolkit.cli"]}
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment["PYTHONPATH"] = os.pathsep.join([str(FOLDER.parent), *sys.path])
    line = [*programs[command[0]], *command[1:]]
    ran = subprocess.run(line, cwd=work, capture_output=True, text=True, env=environment)
    if ran.returncode not in codes:
        raise RuntimeError(
            f"{shlex.join(command)} ended with {ran.returncode}: {ran.stderr[-800:]}"
        )
    return ran.stdout


def table(answer: dict[str, Any]) -> str:
    """Return the table of an example: original, quantized, pruned."""
    rows = [row for row in answer["comparison"]["rows"] if row["weight_bytes"] is None]
    metric = answer["comparison"]["metric"]
    head = f"| | file | {metric}, 95 % interval | latency, 95 % interval | verdict |"
    lines = [head, "|---|---|---|---|---|"]
    for title, row, board in zip(_ROWS, rows, answer["targets"], strict=True):
        low, high = board["invoke_ci_us"]
        latency = f"{board['invoke_median_us']:.2f} µs, {low:.2f} to {high:.2f}"
        size = f"{row['file_bytes'] / 1000:.1f} kB"
        lines.append(f"| {title} | {size} | {_score(row)} | {latency} | {board['verdict']} |")
    load = f"Load average of the last five minutes: {os.getloadavg()[1]:.1f}."
    return "\n".join([*lines, "", machine(), load])


def _score(row: dict[str, Any]) -> str:
    score = row["scores"]["test"]
    low, high = score["interval"]
    if "accuracy" in score:
        return f"{score['accuracy']:.1%}, {low:.1%} to {high:.1%} ({score['samples']:,} samples)"
    return f"{score['value']:.3f}, {low:.3f} to {high:.3f} ({score['samples']:,} samples)"


def write_table(readme: Path, text: str) -> None:
    """Put a table between the two marks of a README."""
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    readme.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
