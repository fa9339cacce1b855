"""What the figures of a benchmark mean."""

import pytest

from toolkit.statistics import PERCENTILE_SAMPLES, PROCESSES, drift, latency

MS = 1_000_000


def test_the_median_is_that_of_the_processes_not_of_the_pooled_samples() -> None:
    busy, quiet = [10 * MS] * 1000, [2 * MS] * 10
    assert latency([busy, quiet, quiet]).median_us == 2000


def test_the_interval_spans_the_process_medians() -> None:
    figure = latency([[k * MS] * 5 for k in (3, 1, 2, 6, 5, 4)])
    assert figure.interval_us == (1000, 6000)
    assert figure.process_medians_us == (3000, 1000, 2000, 6000, 5000, 4000)


def test_the_default_number_of_processes_gives_at_least_95_percent() -> None:
    figure = latency([[MS]] * PROCESSES)
    assert figure.confidence == pytest.approx(0.96875)


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


def test_a_steady_process_does_not_drift() -> None:
    assert drift([100, 101, 99] * 30) == pytest.approx(1.0, abs=0.02)


def test_a_process_that_gets_slower_drifts() -> None:
    assert drift([100] * 30 + [110] * 30 + [150] * 30) == pytest.approx(1.5)


def test_too_few_samples_tell_of_no_drift() -> None:
    assert drift([1, 1000]) == 1.0
