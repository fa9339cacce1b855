"""What programs read has the fields that the documents name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from device_agent.contract.op_times import OpTime, OpTimes
from tests.toolkit.measurements import measurement
from toolkit.judge.ratio import compare_medians
from toolkit.measure.compare import Arm, LatencyComparison
from toolkit.report.comparison import plain_latency_comparison
from toolkit.report.measurement import plain_measurement
from toolkit.report.op_times import plain_op_times
from toolkit.report.record import records_of_measurement
from toolkit.report.stored_result import plain_samples
from toolkit.results.store import open_results

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "bench.md"

SAMPLES = [[1_000_000 + k for k in range(60)]] * 6


def keys(value: Any) -> Iterator[str]:
    """Of all objects, however deep."""
    if isinstance(value, dict):
        yield from value
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            yield from keys(inner)


def assert_documented(found: Any) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert [name for name in keys(found) if f"`{name}`" not in text] == []


def test_of_parity_and_of_the_times_of_operators() -> None:
    assert_documented(plain_measurement(measurement(SAMPLES))["parity"])
    assert_documented(plain_op_times(OpTimes(steps=[OpTime("ADD", "builtin", 3.0)], runs=9)))


def test_of_a_comparison() -> None:
    row = measurement(SAMPLES).rows[0]
    medians = row.latency.process_medians_us
    arm = Arm("a.tflite", row.latency, row.verdict)
    found = LatencyComparison("pi", "pi", arm, arm, compare_medians(medians, medians, 0.02), True)
    plain = plain_latency_comparison(found)

    assert_documented({name: plain[name] for name in ("ratio", "arms")})
    text = DOCUMENT.read_text(encoding="utf-8")
    assert all(f'"{name}"' in text for name in plain)


def test_of_results(tmp_path: Path) -> None:
    with open_results(tmp_path) as store:
        store.save(records_of_measurement(measurement(SAMPLES)))
        (line,) = store.lines()
        exported = plain_samples(store.load(line.id))

    assert_documented([vars(line)])
    assert_documented([dict.fromkeys(exported["runs"][0])])
