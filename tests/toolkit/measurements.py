"""A measurement with chosen samples, as a board would have given it."""

from pathlib import Path

from device_agent.contract.conditions import Conditions
from device_agent.contract.facts import facts_from_json
from device_agent.contract.measurement import KernelClass, ProcessRun
from targets.board_run import BoardRun
from targets.staged_file import StagedFile
from toolkit.judge.parity import EQUAL, Parity
from toolkit.judge.row import Row
from toolkit.judge.statistics import latency
from toolkit.judge.verdict import judge_runs
from toolkit.measure.bench import BenchSettings, Measurement

KERNELS = KernelClass("aarch64", "ai-edge-litert", "2.3.0")
FACTS = facts_from_json(
    {
        "emulated": False,
        "machine": "aarch64",
        "model": "Raspberry Pi 5",
        "os": "Debian 13",
        "python": "3.13.5",
    }
)


def board_run(samples_ns: list[int], conditions: tuple[Conditions, ...] = ()) -> BoardRun:
    run = ProcessRun(
        kernel_class=KERNELS,
        numpy_version="2.2.6",
        threads=1,
        import_ns=1,
        load_ns=2,
        allocate_ns=3,
        first_invoke_ns=4,
        warmup_runs=5,
        cpu_ns=6,
        wall_ns=7,
        peak_rss_bytes=8,
        samples="0" * 64,
        sample_count=len(samples_ns),
    )
    whole = tuple(2 * sample for sample in samples_ns)
    return BoardRun(run, tuple(samples_ns), conditions, whole)


def measurement(processes_ns: list[list[int]], target: str = "pi") -> Measurement:
    runs = tuple(board_run(samples, (Conditions(load_1min=0.5),)) for samples in processes_ns)
    figure = latency(processes_ns)
    parity = Parity(EQUAL, "", True, KERNELS, KERNELS, 64, False, 0, 0, 1, None, None, None)
    return Measurement(
        target=target,
        place=target,
        model=Path("model.tflite"),
        model_sha256="a" * 64,
        facts=FACTS,
        kernel_class=KERNELS,
        staged=StagedFile("a" * 64, 1, "/x", 1),
        parity=parity,
        settings=BenchSettings(),
        rows=(Row(1, figure, figure, judge_runs(FACTS, runs, figure), runs),),
    )
