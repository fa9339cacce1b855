"""docs/coverage.md says of every operation which source may bring it."""

from __future__ import annotations

from tests.converters import coverage, source_coverage
from tests.converters.coverage_cases import CASES
from tests.converters.coverage_trials import REFUSED, WORKS

PAGE = coverage.DOCUMENT.read_text(encoding="utf-8")


def test_the_table_of_sources_is_what_was_recorded() -> None:
    assert source_coverage.with_source_table(PAGE, source_coverage.recorded_sources()) == PAGE


def test_every_case_of_keras_is_a_row_of_the_table_of_techniques() -> None:
    assert set(source_coverage.cases_of(source_coverage.KERAS)) <= set(CASES)


def test_no_source_gives_other_answers() -> None:
    for source, cases in source_coverage.recorded_sources().items():
        for case, outcome in cases.items():
            assert outcome.kind in (WORKS, REFUSED), (source, case, outcome.why)


def test_every_operation_of_a_tflite_works() -> None:
    record = source_coverage.recorded_sources()[source_coverage.TFLITE]
    assert {outcome.kind for outcome in record.values()} == {WORKS}
