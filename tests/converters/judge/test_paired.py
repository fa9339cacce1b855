from __future__ import annotations

import numpy as np
import pytest

from converters.judge.paired import drop_between, paired_interval


def test_the_paired_interval_is_that_of_the_source() -> None:
    # 10 of 100 lost, 4 won: (5 - 11) / 102, plus and minus 1.96 standard errors
    first = np.array([True] * 50 + [False] * 50)
    second = first.copy()
    second[:10] = False
    second[50:54] = True
    low, high = paired_interval(first, second)
    assert (low + high) / 2 == pytest.approx(-6 / 102)
    assert high - low == pytest.approx(2 * 1.959964 * ((16 / 102 - (6 / 102) ** 2) / 102) ** 0.5)


def test_a_drop_counts_what_was_lost_and_won_and_has_the_mirrored_interval() -> None:
    model = np.array([True, True, True, False, False] * 20)
    file = np.array([True, False, True, True, False] * 20)
    file[1] = True
    drop = drop_between("test", model, file)
    assert (drop.lost, drop.won, drop.samples) == (19, 20, 100)
    assert drop.fraction == pytest.approx(-0.01)
    low, high = paired_interval(model, file)
    assert drop.interval == (-high, -low)
    assert drop.interval[0] < drop.fraction < drop.interval[1]
