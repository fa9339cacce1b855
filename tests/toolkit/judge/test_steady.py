"""Whether a process had settled when it was timed."""

import numpy as np
import pytest

from toolkit.judge.steady import unsteadiness

RANDOM = np.random.default_rng(3)


def samples(count: int, drift: float = 0.0, noise: float = 0.01) -> list[int]:
    """A latency that grows evenly by a share over the loop, with noise."""
    ramp = 1 + drift * np.arange(count) / count
    return [int(value) for value in 1e6 * ramp * (1 + noise * RANDOM.standard_normal(count))]


def test_noise_is_steady() -> None:
    assert unsteadiness([100, 101, 99] * 30) == 0
    assert unsteadiness(samples(600, noise=0.05)) == 0


def test_wild_noise_without_order_is_steady() -> None:
    assert all(unsteadiness(samples(1200, noise=0.25)) == 0 for _ in range(20))


def test_a_step_is_not_steady() -> None:
    assert unsteadiness([100] * 30 + [110] * 30 + [150] * 30) == pytest.approx(0.5)


@pytest.mark.parametrize("sign", [1, -1])
def test_an_even_drift_that_three_windows_pass_is_found(sign: int) -> None:
    drifting = samples(600, drift=0.13)[::sign]
    thirds = [np.median(part) for part in np.split(np.asarray(drifting), 3)]
    assert max(thirds) / min(thirds) < 1.10

    assert unsteadiness(drifting) == pytest.approx(0.12, abs=0.03)


def test_a_drift_within_the_bound_is_steady() -> None:
    assert unsteadiness(samples(600, drift=0.06)) == 0


def test_too_few_samples_tell_of_no_drift() -> None:
    assert unsteadiness([1, 1000]) == 0
