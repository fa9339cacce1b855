"""Inferences a second of several processes at the same time."""

from dataclasses import replace

import pytest

from targets.board_run import BoardRun
from tests.toolkit.measurements import FACTS, board_run
from toolkit.judge.row import row_of
from toolkit.judge.throughput import saturation, throughput_of


def run_of(samples: int, wall_s: float) -> BoardRun:
    run = board_run([round(1e9 * wall_s / samples)] * samples)
    return replace(run, run=replace(run.run, wall_ns=round(1e9 * wall_s)))


def test_the_rates_of_a_round_are_added_and_rounds_are_observations() -> None:
    runs = [run_of(100, 1.0), run_of(50, 1.0), run_of(110, 1.0), run_of(50, 1.0)]
    figure = throughput_of(runs, 2)
    assert figure.per_second == pytest.approx(155)
    assert figure.interval == (150, 160)


def test_a_process_that_took_longer_is_counted_by_its_own_time() -> None:
    assert throughput_of([run_of(100, 2.0), run_of(100, 1.0)], 2).per_second == pytest.approx(150)


def test_the_fewest_processes_that_reach_the_most_saturate_the_board() -> None:
    assert saturation([100, 195, 200, 190]) == 1
    assert saturation([100, 60, 40]) == 0
    assert saturation([100, 190, 220]) == 2


def test_the_latency_of_a_row_has_one_observation_a_round() -> None:
    runs = tuple(board_run([1000 * (10 + number)] * 40) for number in range(12))
    row = row_of(FACTS, 1, runs, streams=2)
    assert len(row.latency.process_medians_us) == 6
    assert row.latency.samples == 12 * 40
