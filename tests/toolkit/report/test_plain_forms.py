"""What programs read has the fields that the documents name."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import toolkit
from device_agent.contract.op_times import OpTime, OpTimes
from tests.toolkit.measurements import KERNELS, measurement
from toolkit.judge.ratio import compare_medians
from toolkit.measure.compare import Arm, ArmMeasurement, LatencyComparison
from toolkit.report.comparison import plain_latency_comparison
from toolkit.report.measurement import plain_measurement
from toolkit.report.op_times import plain_op_times
from toolkit.report.record import records_of_comparison, records_of_measurement
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
        (line,) = store.list_results().lines
        exported = plain_samples(store.load(line.id))

    assert_documented([vars(line)])
    assert_documented([dict.fromkeys(exported["runs"][0])])


def test_a_python_program_has_the_json_of_the_command() -> None:
    entry = toolkit.plain_measurement(measurement(SAMPLES))

    assert json.loads(json.dumps(entry)) == entry
    assert entry["rows"][0]["verdict"] == entry["verdict"]


def test_an_arm_of_a_comparison_is_kept_with_the_fields_of_a_benchmark(tmp_path: Path) -> None:
    bench = measurement(SAMPLES)
    (row,) = bench.rows
    arm = ArmMeasurement(
        bench.model, bench.model_sha256, bench.staged, bench.facts, KERNELS, KERNELS, row, 4.5, 6, 0
    )
    side = Arm("model.tflite", row.latency, row.verdict, arm)
    ratio = compare_medians([1.0] * 6, [1.0] * 6, 0.02)
    records = records_of_comparison(LatencyComparison("pi", "pi", side, side, ratio, True))
    with open_results(tmp_path) as store:
        first, second = store.save(records)
        bench_number, *_ = store.save(records_of_measurement(bench))
        kept, of_bench = store.load(second), store.load(bench_number)

    assert (first, kept.figures.latency) == (1, row.latency)
    assert kept.document.keys() == of_bench.document.keys()
    assert kept.document["settings"].keys() == of_bench.document["settings"].keys()
