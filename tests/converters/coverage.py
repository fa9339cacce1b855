"""The table of docs/coverage.md: `python -m tests.converters.coverage` writes what is missing.

python -m tests.converters.coverage [CASE...]: the rows named are tried anew; `all` is every row,
`none` only writes the page from what was recorded. Each cell takes seconds; it may be interrupted
at any time and goes on where it was.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from converters.recipe.step_kinds import STEP_KINDS
from tests.converters.coverage_cases import CASES
from tests.converters.coverage_trials import (
    CRASHED,
    NOTHING,
    REFUSED,
    WORKS,
    WRONG,
    Outcome,
)

ROOT = Path(__file__).resolve().parents[2]
RECORD = Path(__file__).with_suffix(".json")
DOCUMENT = ROOT / "docs" / "coverage.md"

MARKS = {WORKS: "✓", NOTHING: "–", REFUSED: "✗", WRONG: "**wrong**", CRASHED: "**bug**"}
NOT_RUN = "not run"

#: TensorFlow keeps every model it has seen: so many cases, then a new process.
_CASES_A_CHILD = 6
_CELL_WITHIN_S = 300

_TABLE_BEGINS = "<!-- the table: python -m tests.converters.coverage -->"
_TABLE_ENDS = "<!-- the table ends -->"

#: Names of cases to kinds of steps.
Cells = Mapping[str, list[str]]
#: Case to kind of step to what became of it.
Record = dict[str, dict[str, Outcome]]


def recorded() -> Record:
    """What was found so far, of cases and techniques that there still are."""
    if not RECORD.exists():
        return {}
    plain = json.loads(RECORD.read_text(encoding="utf-8"))
    return {
        case: {kind: Outcome(**row[kind]) for kind in STEP_KINDS if kind in row}
        for case, row in plain.items()
        if case in CASES
    }


def keep(record: Record) -> None:
    """Write what was found, in the order of the table."""
    plain = {
        case: {k: asdict(record[case][k]) for k in STEP_KINDS if k in record[case]}
        for case in CASES
        if case in record
    }
    text = json.dumps(plain, indent=1, ensure_ascii=False)
    RECORD.write_text(text + "\n", encoding="utf-8")


def outcomes(wanted: Cells) -> Iterator[tuple[str, str, Outcome]]:
    """Try cells in one child process; a cell that ends it is a crash, and the next goes on."""
    left = {case: list(kinds) for case, kinds in wanted.items() if kinds}
    while left:
        ended = ""
        for case, kind, outcome in _until_it_ends(left):
            if not case:
                ended = outcome.why
                break
            left[case].remove(kind)
            yield case, kind, outcome
        left = {case: kinds for case, kinds in left.items() if kinds}
        if left:
            case = next(iter(left))
            yield case, left[case].pop(0), Outcome(CRASHED, ended)
            left = {case: kinds for case, kinds in left.items() if kinds}


def _until_it_ends(wanted: Cells) -> Iterator[tuple[str, str, Outcome]]:
    """What one child answers; at last, without a case, how it ended."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.converters.coverage_cells"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        cwd=ROOT,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    with child:
        watch = _watch(child)
        try:
            child.stdin.write(json.dumps(dict(wanted)))
            child.stdin.close()
            for line in child.stdout:
                watch.cancel()
                found = json.loads(line)
                yield found["case"], found["step"], Outcome(found["kind"], found["why"])
                watch = _watch(child)
            yield "", "", Outcome(CRASHED, f"the process ended with {child.wait()}")
        finally:
            watch.cancel()
            child.kill()


def _watch(child: subprocess.Popen[str]) -> threading.Timer:
    timer = threading.Timer(_CELL_WITHIN_S, child.kill)
    timer.daemon = True
    timer.start()
    return timer


def table(record: Record) -> str:
    """The table, and below it what refusals say."""
    lines = [
        "| layer or topology | " + " | ".join(f"`{kind}`" for kind in STEP_KINDS) + " |",
        "|---" + "|:-:" * len(STEP_KINDS) + "|",
    ]
    said: list[str] = []
    for case in CASES:
        row = record.get(case, {})
        marks = [MARKS[row[kind].kind] if kind in row else NOT_RUN for kind in STEP_KINDS]
        lines.append(" | ".join([f"| {case}", *marks]) + " |")
        said += _said(case, row)
    return "\n".join([*lines, "", "What is said where it does not work:", "", *said]) + "\n"


def _said(case: str, row: Mapping[str, Outcome]) -> Iterator[str]:
    kinds_by_message: dict[str, list[str]] = {}
    for kind, outcome in row.items():
        if outcome.kind not in (WORKS, NOTHING):
            kinds_by_message.setdefault(outcome.why, []).append(f"`{kind}`")
    for message, kinds in kinds_by_message.items():
        yield f"- {case}; {', '.join(kinds)}: {message.replace('<', '&lt;')}"


def document(text: str, record: Record) -> str:
    """The page with its table anew."""
    before, _, rest = text.partition(_TABLE_BEGINS)
    _, _, after = rest.partition(_TABLE_ENDS)
    return f"{before}{_TABLE_BEGINS}\n\n{table(record)}\n{_TABLE_ENDS}{after}"


def _wanted(names: list[str], record: Record) -> Cells:
    if names == ["none"]:
        return {}
    if names == ["all"]:
        names = list(CASES)
    if unknown := set(names) - set(CASES):
        raise SystemExit(f"no case {', '.join(sorted(unknown))}; there are: {', '.join(CASES)}")
    if names:
        return {name: list(STEP_KINDS) for name in names}
    return {case: [k for k in STEP_KINDS if k not in record.get(case, {})] for case in CASES}


def main(names: list[str]) -> None:
    """Try cells, telling each, and write the record and the page after each process."""
    record = recorded()
    wanted = {case: kinds for case, kinds in _wanted(names, record).items() if kinds}
    total, done, cases = sum(map(len, wanted.values())), 0, list(wanted)
    for start in range(0, len(cases), _CASES_A_CHILD):
        part = {case: wanted[case] for case in cases[start : start + _CASES_A_CHILD]}
        for case, kind, outcome in outcomes(part):
            done += 1
            record.setdefault(case, {})[kind] = outcome
            keep(record)
            told = f"{done}/{total} {case}: {kind} {outcome.kind} {outcome.why}"
            print(told, flush=True)  # noqa: T201
    keep(record)
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(document(text, recorded()), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
