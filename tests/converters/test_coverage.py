"""docs/coverage.md says of every layer what every technique makes of it, as it is today."""

from __future__ import annotations

import re
from typing import Any

import pytest

from converters.recipe.step_kinds import STEP_KINDS
from tests.converters import coverage
from tests.converters.coverage_cases import CASES
from tests.converters.coverage_trials import CRASHED, REFUSED, TRIALS, WRONG

PAGE = coverage.DOCUMENT.read_text(encoding="utf-8")

#: One technique of each case; each technique with several of them.
SAMPLE = {case: list(STEP_KINDS)[7 * n % len(STEP_KINDS)] for n, case in enumerate(CASES)}
#: Cells that were wrong once: a bias of two layers had the scale of one; a loop ended the process.
MENDED = {"shared layer": "ptq_w8a16", "LSTM": "ptq_w8a16"}
AGAIN = [*SAMPLE.items(), *sorted(MENDED.items() - SAMPLE.items())]


@pytest.fixture(scope="module")
def tried() -> dict[str, Any]:
    cells = {case: [kind for one, kind in AGAIN if one == case] for case in CASES}
    return {(case, kind): outcome for case, kind, outcome in coverage.outcomes(cells)}


def rows() -> dict[str, list[str]]:
    techniques = PAGE.partition("## Which source")[0]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in techniques.splitlines()]
    return {row[0]: row[1:] for row in cells if row and row[0] in CASES}


def test_every_technique_is_tried_and_is_a_column() -> None:
    assert set(TRIALS) == set(STEP_KINDS)
    head = "| layer or topology | " + " | ".join(f"`{kind}`" for kind in STEP_KINDS) + " |"
    assert head in PAGE


@pytest.mark.parametrize("case", CASES)
def test_every_layer_is_a_row(case: str) -> None:
    marks = rows()[case]
    assert len(marks) == len(STEP_KINDS)
    assert set(marks) <= {*coverage.MARKS.values(), coverage.NOT_RUN}


def test_the_page_is_what_was_recorded() -> None:
    assert coverage.document(PAGE, coverage.recorded()) == PAGE


def test_no_cell_is_a_bug_and_every_refusal_says_why() -> None:
    for case, row in coverage.recorded().items():
        for kind, outcome in row.items():
            assert outcome.kind not in (WRONG, CRASHED), (case, kind, outcome.why)
            if outcome.kind == REFUSED:
                assert re.search(r"\w{3,} \w{2,}", outcome.why), (case, kind)


def test_the_sample_has_every_technique() -> None:
    assert set(SAMPLE.values()) == set(STEP_KINDS)


@pytest.mark.slow
@pytest.mark.parametrize(("case", "kind"), AGAIN)
def test_what_the_page_says_of_a_cell_is_so(case: str, kind: str, tried: dict[str, Any]) -> None:
    mark = dict(zip(STEP_KINDS, rows()[case], strict=True))[kind]
    if mark == coverage.NOT_RUN:
        pytest.skip("the page says nothing of it")
    outcome = tried[case, kind]
    assert coverage.MARKS[outcome.kind] == mark, outcome.why
