from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from converters.data.split import balanced_choice, held_out_split, partition

labels_of_any_kind = st.lists(st.integers(0, 5), min_size=0, max_size=200).map(
    lambda labels: np.array(labels, np.int64)
)


@given(labels_of_any_kind, st.integers(0, 9))
def test_a_split_uses_each_sample_once_and_holds_out_of_every_class(
    labels: np.ndarray, seed: int
) -> None:
    train, test = held_out_split(labels, seed)
    assert sorted([*train, *test]) == list(range(len(labels)))
    for label, count in zip(*np.unique(labels, return_counts=True), strict=True):
        held_out = (labels[test] == label).sum()
        assert held_out == (0 if count == 1 else max(1, round(count / 5)))


def test_the_seed_decides_the_split() -> None:
    labels = np.arange(100) % 4
    first, again, other = (held_out_split(labels, seed)[1].tolist() for seed in (1, 1, 2))
    assert first == again != other


@given(labels_of_any_kind, st.integers(0, 250), st.integers(0, 9))
def test_a_choice_takes_every_class_as_evenly_as_it_can(
    labels: np.ndarray, count: int, seed: int
) -> None:
    rows = balanced_choice(labels, count, seed)
    assert len(rows) == min(count, len(labels))
    assert len(set(rows.tolist())) == len(rows)
    for label in np.unique(labels):
        taken, there = (labels[rows] == label).sum(), (labels == label).sum()
        most = max((labels[rows] == other).sum() for other in np.unique(labels))
        assert taken == there or taken >= most - 1


@given(labels_of_any_kind, st.integers(0, 250), st.integers(0, 9))
def test_no_sample_is_used_for_two_things(
    labels: np.ndarray, calibration_samples: int, seed: int
) -> None:
    parts = partition(labels, calibration_samples, seed)
    used = [*parts.train, *parts.validation, *parts.calibration]
    assert sorted(used) == list(range(len(labels)))
    assert set(parts.judged) <= set(parts.train)
    assert len(parts.calibration) == min(
        calibration_samples, int(len(labels) * 0.5), len(labels) - len(parts.validation)
    )


def test_what_recipes_are_compared_on_does_not_depend_on_the_recipe() -> None:
    labels = np.arange(3_000) % 7
    first, second = (partition(labels, samples, 3) for samples in (0, 500))
    np.testing.assert_array_equal(first.validation, second.validation)
    np.testing.assert_array_equal(first.judged, second.judged)
    assert len(first.judged) > 1_000
