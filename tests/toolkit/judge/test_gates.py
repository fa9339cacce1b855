"""Gates: pass, fail or inconclusive, with the figure, the limit and the reason."""

from dataclasses import replace

import pytest

from tests.toolkit.fleet.simulated_boards import parity
from toolkit.judge.gates import (
    FAIL,
    GATES,
    INCONCLUSIVE,
    PASS,
    Evidence,
    GateResult,
    HealthAnswer,
    judge_gates,
    overall,
    strictest_limits,
    wilson_interval,
)
from toolkit.judge.parity import AGREES, DIFFERS, EQUAL
from toolkit.judge.parity import INCONCLUSIVE as UNDECIDED

BEFORE = (100.0, 101.0, 99.0, 100.5, 100.2, 99.8)
WILD = (60.0, 190.0, 100.0, 150.0, 95.0, 105.0)


def only(name: str, limit: float, evidence: Evidence) -> GateResult:
    (result,) = judge_gates(evidence, {name: limit})
    assert result.name == name
    assert result.figure
    assert result.limit
    assert result.reason
    return result


@pytest.mark.parametrize("name", GATES)
def test_what_was_not_seen_is_inconclusive(name: str) -> None:
    assert only(name, GATES[name].most, Evidence()).verdict == INCONCLUSIVE


@pytest.mark.parametrize("name", GATES)
def test_a_gate_that_does_not_apply_passes_with_the_reason(name: str) -> None:
    result = only(name, 1, Evidence(exempt={name: "no release before"}))

    assert (result.verdict, result.reason) == (PASS, "no release before")


@pytest.mark.parametrize(("code", "verdict"), [(0, PASS), (1, FAIL), (-9, FAIL), (127, FAIL)])
def test_health(code: int, verdict: str) -> None:
    result = only("health", 1, Evidence(health=HealthAnswer(code, "a\nmodel not found\n", 3.0)))

    assert result.verdict == verdict
    assert ("model not found" in result.reason) == (verdict == FAIL)


@pytest.mark.parametrize(
    ("verdict", "agrees", "equal"),
    [
        (EQUAL, PASS, PASS),
        (AGREES, PASS, FAIL),
        (DIFFERS, FAIL, FAIL),
        (UNDECIDED, INCONCLUSIVE, INCONCLUSIVE),
    ],
)
def test_parity(verdict: str, agrees: str, equal: str) -> None:
    evidence = Evidence(parity=parity(verdict))

    assert only("parity", 1, evidence).verdict == agrees
    assert only("parity", 2, evidence).verdict == equal
    assert only("parity", 1, evidence).figure.startswith(verdict)


@pytest.mark.parametrize(
    ("after", "limit", "verdict"),
    [
        (BEFORE, 1.1, PASS),
        (tuple(0.5 * us for us in BEFORE), 1.1, PASS),
        (tuple(1.5 * us for us in BEFORE), 1.1, FAIL),
        (tuple(1.5 * us for us in BEFORE), 2.0, PASS),
        (WILD, 1.1, INCONCLUSIVE),
        (BEFORE[:5], 1.1, INCONCLUSIVE),
        ((*BEFORE[:5], 0.0), 1.1, INCONCLUSIVE),
    ],
)
def test_latency_ratio(after: tuple[float, ...], limit: float, verdict: str) -> None:
    result = only("latency_ratio", limit, Evidence(before_us=BEFORE, after_us=after))

    assert result.verdict == verdict
    if len(after) == 6 and min(after) > 0:
        assert "95 % interval" in result.figure


def test_memory_and_temperature() -> None:
    seen = Evidence(peak_memory_bytes=64 << 20, highest_celsius=71.5)

    assert only("memory", 64 << 20, seen).verdict == PASS
    assert only("memory", 63 << 20, seen).verdict == FAIL
    assert only("memory", 63 << 20, seen).figure == "64.0 MiB"
    assert only("temperature", 71.5, seen).verdict == PASS
    assert only("temperature", 70, seen).verdict == FAIL


@pytest.mark.parametrize(
    ("right", "samples", "limit", "verdict"),
    [
        (990, 1000, 0.95, PASS),
        (900, 1000, 0.95, FAIL),
        (950, 1000, 0.95, INCONCLUSIVE),
        (10, 10, 0.95, INCONCLUSIVE),
        (11, 10, 0.95, INCONCLUSIVE),
        (0, 0, 0.95, INCONCLUSIVE),
    ],
)
def test_accuracy(right: int, samples: int, limit: float, verdict: str) -> None:
    evidence = Evidence(right=right, samples=samples)

    assert only("accuracy", limit, evidence).verdict == verdict


def test_the_interval_of_a_share() -> None:
    # Source: Newcombe (1998), table I, method 3.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)


def test_a_board_that_has_every_sample_right_is_below_no_limit() -> None:
    for samples in range(1, 600):
        evidence = Evidence(right=samples, samples=samples)
        assert only("accuracy", 1.0, evidence).verdict == INCONCLUSIVE


def test_one_no_decides_and_a_doubt_is_no_yes() -> None:
    good = GateResult("a", PASS, "1", "2", "fine")

    assert overall(()) == overall((good,)) == PASS
    doubt = replace(good, verdict=INCONCLUSIVE)
    assert overall((good, doubt)) == INCONCLUSIVE
    assert overall((doubt, replace(good, verdict=FAIL))) == FAIL


def test_the_stricter_limit_holds() -> None:
    limits = strictest_limits(
        {"latency_ratio": 1.1, "accuracy": 0.9},
        {"latency_ratio": 1.5, "accuracy": 0.95, "memory": 5},
    )

    assert limits == {"latency_ratio": 1.1, "accuracy": 0.95, "memory": 5}
    with pytest.raises(KeyError, match="speed"):
        strictest_limits({}, {"speed": 1})
    with pytest.raises(KeyError, match="speed"):
        judge_gates(Evidence(), {"speed": 1})
