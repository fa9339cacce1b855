"""What may be said of B against A."""

import numpy as np
import pytest
from scipy import stats

from toolkit.judge.ratio import (
    IMPROVED,
    INCONCLUSIVE,
    LEAST_PROCESSES,
    REGRESSED,
    RESAMPLES,
    UNCHANGED,
    compare_medians,
)

STEADY = [100.0, 100.1, 99.9, 100.05, 99.95, 100.0, 100.1, 99.9, 100.0]


def scaled(factor: float) -> list[float]:
    return [value * factor for value in STEADY]


@pytest.mark.parametrize(
    ("factor", "max_regression", "verdict"),
    [
        (1.0, 0.02, UNCHANGED),
        (1.01, 0.02, UNCHANGED),
        (1.05, 0.02, REGRESSED),
        (1.05, 0.10, UNCHANGED),
        (0.9, 0.02, IMPROVED),
        (0.99, 0.02, UNCHANGED),
    ],
)
def test_the_whole_interval_decides(factor: float, max_regression: float, verdict: str) -> None:
    found = compare_medians(STEADY, scaled(factor), max_regression)
    assert found.verdict == verdict
    assert found.value == pytest.approx(factor)
    assert found.interval[0] <= found.value <= found.interval[1]
    assert found.processes_needed is None


@pytest.mark.parametrize("counts", [(9, 9), (6, 13), (40, 7)])
def test_the_interval_is_that_of_scipy(counts: tuple[int, int]) -> None:
    random = np.random.default_rng(sum(counts))
    first, second = (random.normal(100, 9, count) for count in counts)
    bounds = stats.bootstrap(
        (first, second),
        lambda first, second, axis: np.median(second, axis=axis) / np.median(first, axis=axis),
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval

    found = compare_medians(list(first), list(second), 0.02)

    assert found.interval == pytest.approx((bounds.low, bounds.high), rel=1e-12)


def test_a_noisy_board_settles_nothing_and_says_how_many_would() -> None:
    noisy = [80.0, 120.0, 90.0, 110.0, 95.0, 105.0, 85.0, 115.0, 100.0]
    found = compare_medians(noisy, [value * 1.03 for value in noisy], 0.02)
    assert found.verdict == INCONCLUSIVE
    assert found.processes_needed is not None
    assert found.processes_needed > len(noisy)


def test_about_so_many_processes_as_are_said_to_be_needed_settle_it() -> None:
    random = np.random.default_rng(3)

    def arm(count: int, factor: float) -> list[float]:
        return list(factor * random.normal(100, 7, count))

    found = compare_medians(arm(9, 1.0), arm(9, 1.06), 0.02)
    assert found.verdict == INCONCLUSIVE
    needed = found.processes_needed
    assert needed is not None
    settled = [
        compare_medians(arm(2 * needed, 1.0), arm(2 * needed, 1.06), 0.02) for _ in range(20)
    ]
    assert sum(one.verdict == REGRESSED for one in settled) >= 12


def test_a_wide_bound_does_not_make_a_narrow_one_nearer() -> None:
    """Whether B is faster by more than noise is the question that is left."""
    noisy = [80.0, 120.0, 90.0, 110.0, 95.0, 105.0, 85.0, 115.0, 100.0]
    found = compare_medians(noisy, noisy, 5.0)
    assert found.verdict == INCONCLUSIVE
    assert found.processes_needed is not None
    assert found.processes_needed > 100


def test_the_same_samples_give_the_same_interval() -> None:
    assert compare_medians(STEADY, scaled(1.03), 0.02) == compare_medians(
        STEADY, scaled(1.03), 0.02
    )


def test_too_few_processes_give_no_interval() -> None:
    few = STEADY[: LEAST_PROCESSES - 1]
    with pytest.raises(ValueError, match=str(LEAST_PROCESSES)):
        compare_medians(few, STEADY, 0.02)
