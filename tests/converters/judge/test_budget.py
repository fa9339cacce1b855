from __future__ import annotations

import pytest

from converters.judge.budget import judge_budget
from converters.judge.paired import Drop, worst


def drop(lost: int, won: int, samples: int, interval: tuple[float, float]) -> Drop:
    return Drop("test", samples, lost, won, interval)


@pytest.mark.parametrize(
    ("seen", "held", "told"),
    [
        (drop(30, 25, 10_000, (-0.001, 0.002)), True, ""),
        (drop(2, 0, 359, (-0.002, 0.015)), True, "more samples are needed to be sure"),
        (drop(6, 0, 359, (0.001, 0.031)), False, "so few samples may be chance"),
        (drop(400, 100, 10_000, (0.026, 0.034)), False, "a drop of 3.00% (95 % interval +2.60%"),
        (drop(0, 40, 10_000, (-0.006, -0.002)), True, ""),
    ],
)
def test_the_drop_that_was_seen_decides_and_its_interval_is_told(
    seen: Drop, held: bool, told: str
) -> None:
    budget = judge_budget(seen, 0.01)
    assert budget.held == held
    assert told in "".join(budget.reasons)
    assert bool(budget.reasons) == bool(told)


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_a_file_that_answers_no_numbers_keeps_no_budget(higher_is_better: bool) -> None:
    nan = float("nan")
    broken = Drop("test", 50, 0, 0, (nan, nan), "mse", 0.5, nan, higher_is_better)
    fine = Drop("test", 50, 0, 0, (0.0, 0.0), "mse", 0.5, 0.5, higher_is_better)
    assert not judge_budget(broken, 0.99).held
    for drops in ([broken, fine], [fine, broken]):
        assert worst(drops) is broken
