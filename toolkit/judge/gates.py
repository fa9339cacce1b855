"""Gates of a rollout: from what was seen on a board to pass, fail or inconclusive. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import sqrt

from toolkit.judge.parity import AGREES, DIFFERS, EQUAL, Parity
from toolkit.judge.ratio import LEAST_PROCESSES, compare_medians

PASS, FAIL, INCONCLUSIVE = "pass", "fail", "inconclusive"

_Z_95 = 1.959964
_MIB = 1 << 20

#: Limit of parity from which on outputs that merely agree do not pass.
_EQUAL_ONLY = 2

#: Characters of a command's last line in a reason.
_MOST_OUTPUT = 200


@dataclass(frozen=True)
class HealthAnswer:
    """How the health command of an application ended."""

    exit_code: int
    output: str
    """Last output, at most 2 KiB."""
    duration_ms: float


@dataclass(frozen=True)
class Evidence:
    """What was seen on one board; `None` and empty for what was not looked at."""

    health: HealthAnswer | None = None
    parity: Parity | None = None
    before_us: tuple[float, ...] = ()
    """Median latency of each process with the active release, microseconds."""
    after_us: tuple[float, ...] = ()
    """Median latency of each process with the new release, microseconds, taken in turns with the
    other."""
    peak_memory_bytes: int | None = None
    """Peak memory of the process that ran the new release."""
    highest_celsius: float | None = None
    """Highest temperature of the board while the new release ran."""
    right: int | None = None
    """Number of labelled samples that the new release classified right on the board."""
    samples: int = 0
    """Number of labelled samples."""
    exempt: Mapping[str, str] = field(default_factory=dict)
    """Reason by name of a gate that does not apply to this board, such as a latency ratio where
    there was no release before; it passes."""


@dataclass(frozen=True)
class GateResult:
    """What a gate says."""

    name: str
    verdict: str
    """`pass`, `fail` or `inconclusive`."""
    figure: str
    """Figure of the board, in words with its unit and interval."""
    limit: str
    """Limit, in words with its unit."""
    reason: str
    """Reason in one sentence, for people."""


@dataclass(frozen=True)
class Gate:
    """A gate of the registry."""

    judge: Callable[[Evidence, float], GateResult]
    """Function from evidence and limit to the result."""
    lower_is_stricter: bool
    """Whether of two limits the lower one is the stricter one."""
    limit: str
    """Meaning and unit of the limit, for messages and documentation."""
    least: float
    """Lowest limit that makes sense."""
    most: float
    """Highest limit that makes sense."""


def judge_gates(evidence: Evidence, limits: Mapping[str, float]) -> tuple[GateResult, ...]:
    """Judge all gates that are demanded.

    Args:
        evidence: Figures of the board.
        limits: Limit by name of a gate.

    Returns:
        Results in the order of `GATES`.

    Raises:
        KeyError: There is no gate of a name.
    """
    unknown = sorted(set(limits) - set(GATES))
    if unknown:
        raise KeyError(f"there is no gate {unknown[0]!r}; there are: {', '.join(GATES)}")
    return tuple(
        _exempt(name, limits[name], evidence.exempt[name])
        if name in evidence.exempt
        else gate.judge(evidence, limits[name])
        for name, gate in GATES.items()
        if name in limits
    )


def strictest_limits(policy: Mapping[str, float], release: Mapping[str, float]) -> dict[str, float]:
    """Return the limits that hold: of each gate the stricter one of policy and release.

    Args:
        policy: Limit by name of a gate, of the policy.
        release: Limit by name of a gate, of the manifest of the release.

    Raises:
        KeyError: There is no gate of a name.
    """
    limits = dict(policy)
    for name, limit in release.items():
        stricter = min if GATES[name].lower_is_stricter else max
        limits[name] = stricter(limit, limits.get(name, limit))
    return limits


def overall(results: Iterable[GateResult]) -> str:
    """Return `fail` where one gate fails, else `inconclusive` where one is, else `pass`."""
    verdicts = {result.verdict for result in results}
    return next((verdict for verdict in (FAIL, INCONCLUSIVE) if verdict in verdicts), PASS)


def _judge_health(evidence: Evidence, _: float) -> GateResult:
    health = evidence.health
    limits = "exit code 0"
    if health is None:
        return _absent("health", limits, "the health command was not run")
    figure = f"exit code {health.exit_code} after {health.duration_ms:.0f} ms"
    if health.exit_code == 0:
        return GateResult("health", PASS, figure, limits, "the application works")
    last = health.output.strip().rpartition("\n")[2][:_MOST_OUTPUT]
    reason = f"the health command ended with {health.exit_code}"
    return GateResult("health", FAIL, figure, limits, f"{reason}: {last}" if last else reason)


def _judge_parity(evidence: Evidence, limit: float) -> GateResult:
    parity = evidence.parity
    limits = "no output differs" if limit >= _EQUAL_ONLY else "the decisions agree"
    if parity is None:
        return _absent("parity", limits, "no outputs were compared")
    figure = parity.verdict
    if parity.samples:
        figure += (
            f" ({parity.samples} inputs, agreement {parity.agreement:.1%}, "
            f"largest difference {parity.largest_difference:g})"
        )
    verdicts = {EQUAL: PASS, AGREES: FAIL if limit >= _EQUAL_ONLY else PASS, DIFFERS: FAIL}
    verdict = verdicts.get(parity.verdict, INCONCLUSIVE)
    return GateResult("parity", verdict, figure, limits, parity.reason)


def _judge_latency(evidence: Evidence, limit: float) -> GateResult:
    limits = f"at most {limit:g} times the active release"
    processes = min(len(evidence.before_us), len(evidence.after_us))
    if processes < LEAST_PROCESSES:
        reason = f"{processes} processes of each release ran, {LEAST_PROCESSES} are needed"
        return _absent("latency_ratio", limits, reason)
    if min(*evidence.before_us, *evidence.after_us) <= 0:
        return _absent("latency_ratio", limits, "a latency of 0 is no measurement")
    ratio = compare_medians(evidence.before_us, evidence.after_us, limit - 1)
    low, high = ratio.interval
    figure = f"{ratio.value:.3f} (95 % interval {low:.3f} to {high:.3f})"
    if low > limit:
        return GateResult("latency_ratio", FAIL, figure, limits, "the new release is slower")
    if high <= limit:
        return GateResult("latency_ratio", PASS, figure, limits, "the interval is below the limit")
    reason = "the interval contains the limit"
    if ratio.processes_needed is not None:
        reason += f"; about {ratio.processes_needed} processes of each would decide it"
    return GateResult("latency_ratio", INCONCLUSIVE, figure, limits, reason)


def _judge_memory(evidence: Evidence, limit: float) -> GateResult:
    peak = evidence.peak_memory_bytes
    limits = f"at most {limit / _MIB:g} MiB"
    if peak is None:
        return _absent("memory", limits, "no peak memory was measured")
    reasons = ("the peak memory is below the limit", "the process needs more memory")
    return _highest("memory", peak <= limit, f"{peak / _MIB:.1f} MiB", limits, reasons)


def _judge_temperature(evidence: Evidence, limit: float) -> GateResult:
    highest = evidence.highest_celsius
    limits = f"at most {limit:g} °C"
    if highest is None:
        return _absent("temperature", limits, "the board reports no temperature")
    reasons = ("the board stays below the limit", "the board is too hot")
    return _highest("temperature", highest <= limit, f"{highest:.1f} °C", limits, reasons)


def _highest(
    name: str, is_within: bool, figure: str, limits: str, reasons: tuple[str, str]
) -> GateResult:
    """Return the result of a gate with a largest value; one reason for each answer."""
    return GateResult(name, PASS if is_within else FAIL, figure, limits, reasons[not is_within])


def _judge_accuracy(evidence: Evidence, limit: float) -> GateResult:
    limits = f"at least {limit:g}"
    right, samples = evidence.right, evidence.samples
    if right is None or samples < 1 or not 0 <= right <= samples:
        return _absent("accuracy", limits, "no labelled samples were run")
    low, high = wilson_interval(right, samples)
    figure = f"{right / samples:.4f} on {samples} samples (95 % interval {low:.4f} to {high:.4f})"
    if high < limit:
        return GateResult("accuracy", FAIL, figure, limits, "the interval is below the limit")
    if low >= limit:
        return GateResult("accuracy", PASS, figure, limits, "the interval is above the limit")
    reason = "the interval contains the limit: more labelled samples, or another limit, decide it"
    return GateResult("accuracy", INCONCLUSIVE, figure, limits, reason)


def wilson_interval(right: int, samples: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson score interval).

    Args:
        right: Number of successes, at most `samples`.
        samples: Number of trials, at least 1.
    """
    share, square = right / samples, _Z_95**2
    middle = (share + square / (2 * samples)) / (1 + square / samples)
    half = sqrt(share * (1 - share) / samples + square / (4 * samples**2))
    half *= _Z_95 / (1 + square / samples)
    # At either end of the scale the bound is that end, which rounding could miss.
    return (
        0.0 if right == 0 else max(0.0, middle - half),
        1.0 if right == samples else min(1.0, middle + half),
    )


def _absent(name: str, limits: str, reason: str) -> GateResult:
    return GateResult(name, INCONCLUSIVE, "nothing", limits, reason)


def _exempt(name: str, limit: float, reason: str) -> GateResult:
    return GateResult(name, PASS, "does not apply", f"{limit:g}", reason)


#: Gates by the name that a policy and a manifest use.
GATES: Mapping[str, Gate] = {
    "health": Gate(_judge_health, False, "1: the health command must exit with 0", 1, 1),
    "parity": Gate(
        _judge_parity, False, "1: the decisions agree with the host; 2: no output differs", 1, 2
    ),
    "latency_ratio": Gate(
        _judge_latency, True, "highest ratio of the new median latency to the active one", 0.1, 100
    ),
    "memory": Gate(_judge_memory, True, "highest peak memory of the process, bytes", 1, 1 << 50),
    "temperature": Gate(_judge_temperature, True, "highest temperature, degrees Celsius", 0, 150),
    "accuracy": Gate(_judge_accuracy, False, "lowest accuracy on labelled samples, 0-1", 0, 1),
}
