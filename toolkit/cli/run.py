"""`kedge run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import output
from toolkit.cli.options import as_json, file_path, wheelhouse
from toolkit.report import words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toolkit.measure.run import Run, RunSample

#: Numbers of a regression that a line has room for.
_SHOWN_VALUES = 8


@click.command("run")
@click.argument("file", type=file_path())
@click.option("--on", "name", required=True, help="The target.")
@click.option(
    "--input",
    "inputs",
    type=file_path(),
    multiple=True,
    required=True,
    help="Picture, .npy or .npz; may be repeated.",
)
@click.option(
    "--save-outputs", type=file_path(), help="Write the real values of all outputs to this .npz."
)
@wheelhouse
@as_json
def command(
    file: Path,
    name: str,
    inputs: tuple[Path, ...],
    save_outputs: Path | None,
    wheelhouse: Path | None,
    as_json: bool,
) -> None:
    """Run a model on a board with pictures or arrays, and time each stage there.

    model.toml beside FILE says how a picture becomes an input and what the outputs mean. `kedge
    convert` writes it, and docs/run.md describes it. This computer only decodes pictures; the board
    resizes, scales, quantizes and does all the rest.

    \b
    kedge run out/model.tflite --on pi --input cat.jpg --input dog.png
    kedge run out/model.tflite --on pi --input x_test.npy --save-outputs y.npz --json
    """
    from toolkit.measure.run import SampleSettings, require_place, run_files
    from toolkit.measure.run import save_outputs as save
    from toolkit.project import find_target

    target = find_target(name)
    if save_outputs is not None:
        require_place(save_outputs, (file, *inputs))
    settings = SampleSettings(save_outputs is not None, wheelhouse)
    with output.progress() as show:
        answers = run_files(file, target, inputs, settings, show)
    if save_outputs is not None:
        save(save_outputs, answers.outputs)
    if as_json:
        output.print_json(_plain(answers))
        return
    _show(answers)
    if save_outputs is not None:
        output.say(f"written: {words.path(save_outputs)}")


def _plain(answers: Run) -> dict[str, Any]:
    """The JSON; documented in docs/run.md."""
    from toolkit.measure.run import label_answer

    return {
        "schema": 1,
        "target": answers.target,
        "place": answers.place,
        "model": str(answers.model),
        "model_sha256": answers.model_sha256,
        "runtime": str(answers.kernel_class),
        "peak_rss_bytes": answers.peak_rss_bytes,
        "samples": [
            {
                "input": sample.source,
                "notes": list(sample.notes),
                "outputs": {
                    name: label_answer(name, answer, answers.card)
                    for name, answer in sample.answer.outputs.items()
                },
                "times_us": dict(sample.answer.times_us),
            }
            for sample in answers.samples
        ],
    }


def _show(answers: Run) -> None:
    for sample in answers.samples:
        for line in _lines(sample, answers):
            output.say(line)
        for note in sample.notes:
            output.warn(f"{sample.source}: {note}")
    output.table(
        f"{words.path(answers.model)} on {answers.place}: {answers.kernel_class}",
        ["stage", "first sample", *(["median of the others"] if answers.samples[1:] else [])],
        _times([sample.answer.times_us for sample in answers.samples]),
    )
    output.say(f"peak memory of the process {words.size(answers.peak_rss_bytes)}")


def _lines(sample: RunSample, answers: Run) -> list[str]:
    from toolkit.measure.run import label_answer

    source = sample.source
    lines = []
    for name, answer in sample.answer.outputs.items():
        subject = source if len(sample.answer.outputs) == 1 else f"{source}: {name}"
        lines.append(
            f"{subject}: {_in_words(label_answer(name, answer, answers.card), name, answers)}"
        )
    return lines


def _in_words(answer: dict[str, Any], name: str, answers: Run) -> str:
    if "classes" in answer:
        classes = [f"{entry['label']} {_score(entry['score'])}" for entry in answer["classes"]]
        if classes:
            return " · ".join(classes)
        best = answer["best"]
        threshold = answers.card.output(name).threshold
        return (
            f"no class reaches the threshold {threshold:g}; the best is {best['label']} with "
            f"{_score(best['score'])}"
        )
    if "values" in answer:
        values = ", ".join(_number(value) for value in answer["values"][:_SHOWN_VALUES])
        return values + (", …" if answer["values"][_SHOWN_VALUES:] else "")
    figures = ", ".join(
        f"{word} {_number(answer[word])}" for word in ("min", "mean", "max") if word in answer
    )
    return f"array {answer['shape']}: {figures}"


def _score(score: float | None) -> str:
    return "not a number" if score is None else f"{score:.4f}"


def _number(value: float | None) -> str:
    return "not a number" if value is None else f"{value:.6g}"


def _times(times_us: list[Mapping[str, float]]) -> list[list[str]]:
    """A row for each stage, and for all of them."""
    from statistics import median

    rows = []
    for stage in (*times_us[0], "all"):
        durations = [sum(of.values()) if stage == "all" else of[stage] for of in times_us]
        row = [stage, words.duration(durations[0])]
        rows.append(row + ([words.duration(median(durations[1:]))] if durations[1:] else []))
    return rows
