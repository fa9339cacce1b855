"""What the figures of a benchmark mean."""

from statistics import stdev

import numpy as np
import pytest

from toolkit.judge.statistics import PERCENTILE_SAMPLES, PROCESSES, latency, median_interval

MS = 1_000_000


def test_the_median_is_that_of_the_processes_not_of_the_pooled_samples() -> None:
    busy, quiet = [10 * MS] * 1000, [2 * MS] * 10
    assert latency([busy, quiet, quiet]).median_us == 2000


def test_the_interval_spans_the_process_medians() -> None:
    figure = latency([[k * MS] * 5 for k in (3, 1, 2, 6, 5, 4)])
    assert figure.interval_us == (1000, 6000)
    assert figure.process_medians_us == (3000, 1000, 2000, 6000, 5000, 4000)


def test_the_default_number_of_processes_gives_at_least_95_percent() -> None:
    assert latency([[MS]] * PROCESSES).confidence == pytest.approx(0.96875)


def test_one_process_gives_no_confidence() -> None:
    assert latency([[MS, MS]]).confidence == 0


@pytest.mark.parametrize(("percent", "least"), PERCENTILE_SAMPLES.items())
def test_no_percentile_without_the_samples_that_bound_it(percent: int, least: int) -> None:
    assert (percent / 100) ** least <= 0.05 < (percent / 100) ** (least - 1)
    assert latency([[MS] * (least - 1)]).percentiles_us[percent] is None
    assert latency([[MS] * least]).percentiles_us[percent] == 1000


def test_percentiles_are_samples_that_were_seen() -> None:
    figure = latency([[k * 1000 for k in range(1, 301)]])
    assert figure.percentiles_us == {90: 270, 95: 285, 99: 297}


def test_outliers_stay() -> None:
    figure = latency([[MS] * 99 + [500 * MS]])
    assert figure.slowest_us == 500_000
    assert figure.samples == 100


@pytest.mark.parametrize(
    ("count", "left_out", "confidence"),
    [(2, 0, 0.5), (5, 0, 0.9375), (6, 0, 0.96875), (9, 1, 0.9609), (12, 2, 0.9614)],
)
def test_the_interval_is_the_narrowest_with_95_percent(
    count: int, left_out: int, confidence: float
) -> None:
    low, high, found = median_interval(range(count))

    assert (low, high) == (left_out, count - 1 - left_out)
    assert found == pytest.approx(confidence, abs=1e-4)


def test_the_interval_encloses_the_median_as_often_as_it_says() -> None:
    random = np.random.default_rng(5)
    for count in (6, 9, 12):
        drawn = random.exponential(1.0, (4000, count))
        found = [median_interval(one) for one in drawn]
        hits = np.mean([low <= np.log(2) <= high for low, high, _ in found])

        assert hits == pytest.approx(found[0][2], abs=0.015)


def test_spread_is_told_beside_the_median() -> None:
    figure = latency([[MS, 2 * MS, 3 * MS, 4 * MS, 100 * MS]])

    assert figure.mean_us == 22_000
    assert figure.mad_us == 1_000
    assert figure.sd_us == pytest.approx(1000 * stdev([1, 2, 3, 4, 100]))


def test_outliers_are_sorted_by_side_and_distance_and_counted_once() -> None:
    usual = [100 * MS + k * MS for k in range(-10, 11)] * 5  # quartiles 95 and 105 ms: IQR 10 ms
    found = latency([[*usual, 40 * MS, 70 * MS, 130 * MS, 200 * MS, 500 * MS]]).outliers

    assert (found.low_severe, found.low_mild) == (1, 1)
    assert (found.high_mild, found.high_severe) == (1, 2)
    assert found.count == 5


def test_a_process_that_is_slower_as_a_whole_is_no_outlier() -> None:
    steady = [100 * MS + k * 1000 for k in range(50)]
    assert latency([steady] * 5 + [[2 * sample for sample in steady]]).outliers.count == 0


@pytest.mark.parametrize("count", [1, 2, 3, 60, 1001])
def test_figures_of_samples_in_any_order_are_those_of_numpy(count: int) -> None:
    samples = np.random.default_rng(count).integers(1, 10 * MS, count)
    figure = latency([samples.astype(np.uint64)])
    micros = samples / 1e3

    assert figure.median_us == np.median(micros)
    assert figure.mad_us == np.median(np.abs(micros - np.median(micros)))
    first, third = np.percentile(micros, (25, 75))
    reach = 1.5 * (third - first)
    outside = (micros < first - reach) | (micros > third + reach)
    assert figure.outliers.count == np.count_nonzero(outside)
