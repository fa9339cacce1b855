"""Pages to look at: conversions and measurements as a project would have them."""

from dataclasses import replace
from pathlib import Path

from converters.evidence.conversion import Conversion
from converters.judge.paired import Drop
from converters.judge.score import FILE, ORIGINAL, Accuracy, Score
from converters.tflite.cost import Cost
from device_agent.contract.conditions import Conditions
from device_agent.contract.op_times import OpTime, OpTimes
from tests.toolkit.measurements import measurement
from toolkit.report.page.build import build_page
from toolkit.report.page.content import Page
from toolkit.report.page.rollout import Rollout, RolloutBoard
from toolkit.report.record import records_of_measurement
from toolkit.results.store import StoredResult, open_results

COST = Cost(77_706, 12_501_632, (), 52_000, 78_000, 0.5, 200, 150)
SOURCE_SHA256 = "f" * 64


def digest(number: int) -> str:
    return f"{number:064x}"


def conversion(number: int, recipe: str, correct: int) -> Conversion:
    """A file that has `correct` of 1,000 test samples right; the original has 900."""
    lost = 900 - correct
    margin = 0.01
    scores = tuple(
        Score(subject, "test", 1000, right, (right / 1000 - 0.02, right / 1000 + 0.02), 0, 0, 0)
        for subject, right in ((ORIGINAL, 900), (FILE, correct))
    )
    drop = Drop(
        "test", 1000, max(0, lost), max(0, -lost), (lost / 1e3 - margin, lost / 1e3 + margin)
    )  # noqa: E501
    return Conversion(
        model=Path(f"out/{recipe}/model.tflite"), model_sha256=digest(number),
        model_bytes=25_000 * number, recipe=recipe, recipe_steps=({"kind": recipe},), seed=0,
        source="/models/net.h5", source_sha256=SOURCE_SHA256, source_bytes=400_000, data="d.npz",
        data_sha256="", splits=(), versions={}, float_accuracy=Accuracy(900, 1000),
        accuracy=Accuracy(correct, 1000), inputs=(), outputs=(), drops=(drop,), scores=scores,
        cost=COST,
    )  # fmt: skip


def op_times(base_us: float) -> OpTimes:
    """Times of a network of 14 steps, as XNNPACK names them."""
    steps = [
        OpTime(
            "Convolution (NHWC, QC8) IGEMM", "XNNPACK", base_us / number, base_us / number - 1,
            base_us / number + 1, f"conv2d_{number}_relu", 294_912 // number,
        )
        for number in range(1, 13)
    ]  # fmt: skip
    steps.append(OpTime("Fully Connected (NC, QS8, QC8W) GEMM", "XNNPACK", 4.0, 4.0, 5.0, "dense"))
    steps.append(OpTime("SOFTMAX", "builtin", 12.0, 11.0, 13.0, "output"))
    total = sum(step.median_us for step in steps)
    return OpTimes(steps, 100, "", 1.02 * total, total, 1.04 * total)


def conditions(process: int) -> tuple[Conditions, ...]:
    """Readings of a board that gets warmer and clocks down."""
    return tuple(
        Conditions(
            monotonic_ns=(process * 10 + second) * 10**9,
            temperature_celsius={"cpu-thermal": 48.0 + 2.5 * process + 0.3 * second},
            frequency_khz={f"cpu{cpu}": 1_800_000 - 60_000 * process for cpu in range(4)},
            load_1min=0.1,
        )
        for second in range(0, 10, 3)
    )


def stored_results(
    folder: Path, *files: tuple[str, int, int], target: str = "pi"
) -> list[StoredResult]:  # noqa: E501
    """Keep and load measurements: path, number of the file and nanoseconds of each."""
    results = []
    with open_results(folder) as store:
        for path, number, base_ns in files:
            processes = [[base_ns + 50 * p + 7 * (s % 40) for s in range(120)] for p in range(6)]
            taken = replace(
                measurement(processes, target), model=Path(path), model_sha256=digest(number)
            )
            row = taken.rows[0]
            runs = tuple(
                replace(run, conditions=conditions(process)) for process, run in enumerate(row.runs)
            )
            taken = replace(
                taken, rows=(replace(row, runs=runs),), op_times=op_times(base_ns / 4000)
            )
            results += [store.load(id_) for id_ in store.save(records_of_measurement(taken))]
    return results


def rollout() -> Rollout:
    boards = [
        RolloutBoard(f"board{number}", number // 4, "confirmed" if number != 5 else "reverted", "")
        for number in range(12)
    ]
    boards[5] = replace(boards[5], reason="latency ratio 1.31 (1.28 to 1.35), at most 1.05")
    return Rollout(
        3,
        "camera",
        "1.2.0",
        "release",
        "ada",
        "stopped",
        1.79e9,
        ("a gate said no",),
        tuple(boards),
    )


def example(folder: Path) -> Page:
    """Three files of one model, two of them measured, and a rollout."""
    conversions = [
        conversion(4, "ptq_f16", 900),
        conversion(1, "ptq_w8a8", 850),
        conversion(2, "qat_w8a8", 898),
    ]
    results = stored_results(
        folder,
        ("out/ptq_f16/model.tflite", 4, 400_000),
        ("out/qat_w8a8/model.tflite", 2, 100_000),
        ("out/qat_w8a8/model.tflite", 2, 110_000),
    )
    return build_page(conversions, results, [rollout()])
