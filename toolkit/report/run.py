"""Answers of a board to samples: their plain form and their words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from device_agent.contract.runtimes import TENSORRT, distribution_of
from toolkit.report import words
from toolkit.report.tables import Block, Note, Table

if TYPE_CHECKING:
    from device_agent.contract.model_card import ModelCard
    from toolkit.measure.run import Run, RunSample

#: Numbers of a regression that a line has room for.
_SHOWN_VALUES = 8


def plain_run(answers: Run) -> dict[str, Any]:
    """Return the answers of a board for a program; documented in docs/run.md."""
    return {
        "target": answers.target,
        "place": answers.place,
        "model": str(answers.model),
        "model_sha256": answers.model_sha256,
        "runtime": str(answers.kernel_class),
        "peak_rss_bytes": answers.peak_rss_bytes,
        "state": answers.state,
        "samples": [
            {
                "input": sample.source,
                "notes": list(sample.notes),
                "outputs": {
                    name: _label_answer(name, answer, answers.card)
                    for name, answer in sample.answer.outputs.items()
                },
                "times_us": dict(sample.answer.times_us),
            }
            for sample in answers.samples
        ],
    }


def describe_run(answers: Run) -> list[Block]:
    """Return the answers of a board for a person, and the times of the stages."""
    blocks: list[Block] = []
    for sample in answers.samples:
        blocks += _lines(sample, answers)
        blocks += [Note(f"{sample.source}: {note}") for note in sample.notes]
    if answers.state == "fresh" and answers.samples[1:]:
        blocks.append(
            Note(
                "the model keeps a state, and each sample began with a fresh one; write "
                "streaming = true into model.toml if the samples are the steps of one stream"
            )
        )
    if distribution_of(answers.kernel_class.runtime) == TENSORRT:
        blocks.append(
            Note("invoke is the time of a whole trtexec, start included; `kedge bench` measures it")
        )
    columns = ["stage", "first sample", *(["median of the others"] if answers.samples[1:] else [])]
    times = _time_rows([sample.answer.times_us for sample in answers.samples])
    return [
        *blocks,
        Table(
            f"{words.path(answers.model)} on {answers.place}: {answers.kernel_class}",
            columns,
            times,
        ),
        f"peak memory of the process {words.size(answers.peak_rss_bytes)}",
    ]


def _lines(sample: RunSample, answers: Run) -> list[str]:
    source = sample.source
    lines = []
    for name, answer in sample.answer.outputs.items():
        subject = source if len(sample.answer.outputs) == 1 else f"{source}: {name}"
        lines.append(
            f"{subject}: {_in_words(_label_answer(name, answer, answers.card), name, answers)}"
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


def _time_rows(times_us: list[Mapping[str, float]]) -> list[list[str]]:
    """Return a row for each stage, and one for all of them."""
    rows = []
    for stage in (*times_us[0], "all"):
        durations = [sum(of.values()) if stage == "all" else of[stage] for of in times_us]
        row = [stage, words.duration(durations[0])]
        rows.append(row + ([words.duration(median(durations[1:]))] if durations[1:] else []))
    return rows


def _label_answer(output: str, answer: Mapping[str, Any], card: ModelCard) -> dict[str, Any]:
    """Return an answer with the names of its classes: `classes` of `label`, `number`, `score`."""
    labels = card.output(output).labels
    if "classes" not in answer:
        return {"task": card.output(output).task, **answer}

    def entry(pair: Sequence[Any]) -> dict[str, Any]:
        number, score = int(pair[0]), pair[1]
        return {
            "label": labels[number] if 0 <= number < len(labels) else str(number),
            "number": number,
            "score": score,
        }

    return {
        "task": card.output(output).task,
        "classes": [entry(pair) for pair in answer["classes"]],
        "best": entry(answer["best"]),
    }
