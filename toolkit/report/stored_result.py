"""A result that was kept: its plain forms and its words."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from device_agent.contract.facts import facts_from_json
from toolkit.report import words
from toolkit.report.measurement import plain_row
from toolkit.report.measurement_text import describe_details, describe_rows, describe_verdict
from toolkit.report.op_times import describe_op_times, plain_op_times
from toolkit.report.stored_conversion import label_rows
from toolkit.report.tables import Block, Table

if TYPE_CHECKING:
    from toolkit.results.store import StoredResult


def plain_result(result: StoredResult) -> dict[str, Any]:
    """Return a result for a program, its figures computed again from the samples."""
    return {
        **vars(result.line),
        **result.document,
        **plain_row(result.row),
        "op_times": plain_op_times(result.op_times),
        "then": vars(result.verdict),
    }


def plain_samples(result: StoredResult) -> dict[str, Any]:
    """Return a result with all its samples, for another program; `results export` writes it."""
    from device_agent.contract.measurement import to_json
    from toolkit.results.database import SCHEMA

    return {
        "schema": SCHEMA,
        **asdict(result.line),
        **result.document,
        "runs": [
            {
                "record": to_json(run.run),
                "conditions": [entry._asdict() for entry in run.conditions],
                "samples_ns": list(run.samples_ns),
                "end_to_end_ns": list(run.end_to_end_ns),
                "series": {name: list(values) for name, values in run.series.items()},
            }
            for run in result.runs
        ],
    }


def describe_result(result: StoredResult) -> list[Block]:
    """Return a result for a person, its figures computed again from the samples."""
    row, line = result.row, result.line
    blocks = describe_verdict(row)
    if result.verdict.kind != row.verdict.kind:
        blocks.append(f"    note: when it was taken it was called {result.verdict.kind}")
    title = f"result {line.id}, {line.taken_at}"
    return [
        *blocks,
        "",
        Table(title, ["", "value"], _identity_rows(result)),
        *describe_rows("computed again from the samples", (row,)),
        *describe_details(row, result.document.get("model_bytes")),
        *([] if result.op_times is None else describe_op_times(result.op_times)),
    ]


def _identity_rows(result: StoredResult) -> list[list[str]]:
    line, document = result.line, result.document
    settings, parity = document["settings"], document["parity"]
    facts = facts_from_json(document["facts"])
    host = document.get("host", {})
    words_of_settings = [
        f"{name} {value}" for name, value in settings.items() if value or name == "seed"
    ]
    rows = [
        ["model", f"{line.model} (sha256 {line.model_sha256})"],
        ["target", f"{line.target}, {document['place']}"],
        ["board", f"{facts.model}, {facts.os}, kernel {facts.kernel or 'unknown'}"],
        ["runtime", line.runtime],
        ["agent", facts.agent_sha256 or "unknown"],
        ["settings", ", ".join(words_of_settings)],
        ["kedge", f"{document['kedge']} on {host.get('name', 'an unknown host')}"],
        ["outputs", f"{parity['verdict']}: {parity['reason']}"],
    ]
    rows += label_rows(line.note, line.tags)
    accuracy = document.get("accuracy")
    if not accuracy:
        return rows
    return [*rows, [accuracy.get("metric", "accuracy"), _accuracy_cell(accuracy)]]


def _accuracy_cell(plain: dict[str, Any]) -> str:
    """Write what `plain_accuracy` returned when the result was taken."""
    is_share = plain.get("metric", "accuracy") == "accuracy"
    figures = (plain["board"], plain["host"], *plain["board_interval"])
    board, host, low, high = (words.percent(x) if is_share else f"{x:.4g}" for x in figures)
    return (
        f"{board} on the board (95 % interval {low} to {high}), {host} on the host, "
        f"{plain['samples']:,} samples of {plain['data']}"
    )
