"""What boards without a failure prove."""

import pytest

from toolkit.judge.rule_of_three import boards_for_bound, failure_rate_bound


@pytest.mark.parametrize(
    ("clean", "bound"), [(0, 1.0), (1, 0.95), (20, 0.1391), (300, 0.009936), (3000, 0.000998)]
)
def test_the_bound(clean: int, bound: float) -> None:
    assert failure_rate_bound(clean) == pytest.approx(bound, rel=1e-3)


@pytest.mark.parametrize(("rate", "boards"), [(0.5, 5), (0.14, 20), (0.01, 299), (0.001, 2995)])
def test_the_number_of_boards(rate: float, boards: int) -> None:
    assert boards_for_bound(rate) == boards
    assert failure_rate_bound(boards) <= rate < failure_rate_bound(boards - 1)


@pytest.mark.parametrize("rate", [0, 1, -1, float("nan")])
def test_no_number_of_boards_proves_that_nothing_ever_fails(rate: float) -> None:
    with pytest.raises(ValueError, match="share"):
        boards_for_bound(rate)
    with pytest.raises(ValueError, match="boards"):
        failure_rate_bound(-1)
