"""Compares the outputs of a board with those of this host, over the same inputs."""

from __future__ import annotations

import platform
from pathlib import Path

from converters.formats import FORMATS
from converters.model_file import ModelFile
from device_agent.contract.cpu_features import cpu_features
from device_agent.contract.measurement import KernelClass
from targets.device import Device
from targets.progress import OnProgress
from targets.staged_file import StagedFile
from toolkit.judge.golden_parity import compare_golden
from toolkit.judge.parity import Parity, not_compared
from toolkit.measure.inputs import golden_beside, random_inputs


def check_outputs(
    model: ModelFile,
    device: Device,
    on_board: StagedFile,
    kernel_class: KernelClass,
    on_progress: OnProgress,
) -> Parity:
    """Compare outputs over the held-out inputs beside a file, or over random ones.

    Args:
        model: File.
        device: Board, with its runtime prepared.
        on_board: The file on the board.
        kernel_class: Kernels that compute there.
        on_progress: Called as the work goes on.

    Raises:
        ToolkitError: An input has an open shape.
        ConversionError: This host cannot run the file, or the held-out inputs are damaged.
        AgentError: The board cannot load or run the model.
    """
    model_format, host = FORMATS[model.format], host_class(model.format)
    foreign = model_format.foreign_ops(model)
    if foreign:
        reason = f"this host cannot compute {', '.join(foreign)}"
        return not_compared(host, kernel_class, reason)
    golden = golden_beside(model)
    inputs = golden.inputs if golden else random_inputs(model)
    on_progress("infer on this host", 0, 0)
    host_outputs = model_format.run(
        model.path, inputs, lambda done, total: on_progress("infer on this host", done, total)
    )
    board, board_outputs = device.jobs.infer(on_board, inputs, on_progress=on_progress)
    return compare_golden((host, host_outputs), (board, board_outputs), model, golden)


def host_class(model_format: str) -> KernelClass:
    """Return the kernels that compute files of a format (a key of `FORMATS`) on this host."""
    name, version = FORMATS[model_format].host_runtime()
    try:
        cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:  # no Linux
        cpuinfo = ""
    features = " ".join(cpu_features(cpuinfo))
    return KernelClass(platform.machine(), name, version, cpu_features=features)
