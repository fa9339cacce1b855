"""Trends: slopes, intervals and chances are those of SciPy, without loading it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from toolkit.judge.trend import CONFIDENCE, fit_trend

RANDOM = np.random.default_rng(5)


@pytest.mark.parametrize("count", [6, 7, 12, 33, 34, 60, 300])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("drift", [0.0, 0.02, -0.3])
def test_a_trend_is_that_of_scipy(count: int, ties: bool, drift: float) -> None:
    times = list(np.cumsum(RANDOM.uniform(0.5, 2, count)))
    values = RANDOM.standard_normal(count) + drift * np.arange(count)
    figures = list(np.round(values) if ties else values)
    trend, fit = fit_trend(times, figures), stats.theilslopes(figures, times, CONFIDENCE)

    assert trend is not None
    assert trend.slope == pytest.approx(fit.slope)
    assert trend.interval == pytest.approx((fit.low_slope, fit.high_slope))
    assert trend.start == pytest.approx(fit.intercept + fit.slope * times[0])
    assert trend.chance == pytest.approx(stats.kendalltau(times, figures).pvalue, rel=1e-6)


def test_equal_values_have_no_trend() -> None:
    trend = fit_trend(list(range(20)), [7.0] * 20)
    assert trend is not None
    assert (trend.slope, trend.interval, trend.chance, trend.start) == (0, (0, 0), 1.0, 7.0)
    assert not trend.is_seen


def test_too_few_points_and_points_at_one_time_have_no_trend() -> None:
    assert fit_trend([0, 1, 2, 3, 4], [0, 1, 2, 3, 4]) is None
    assert fit_trend([1.0] * 8, list(range(8))) is None


def test_a_trend_loads_no_scipy() -> None:
    code = (
        "import sys; from toolkit.judge.steady import unsteadiness\n"
        "assert unsteadiness([1000 + k for k in range(130)]); print('scipy' in sys.modules)\n"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False"]
