"""Makes a board ready: connected, with a runtime that loads the models, and the files on it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from converters.model_file import ModelFile
from device_agent.contract.codes import IntegrityError
from device_agent.contract.measurement import KernelClass
from targets.device import Device
from targets.inventory import Target
from targets.progress import OnProgress
from targets.provision import open_device
from targets.staged_file import StagedFile
from toolkit.admission import admit


@dataclass(frozen=True)
class Ready:
    """Kernels of a board, and the models on it."""

    kernel_class: KernelClass
    staged: tuple[StagedFile, ...]
    """The models, in the order in which they were given."""
    push_s: float
    """Seconds for sending the models, or finding that they are there."""
    overridden: tuple[str, ...] = ()
    """Refusals of the runtime that were overridden."""


@contextmanager
def open_board(target: Target, on_progress: OnProgress) -> Iterator[Device]:
    """Connect to a target while the block runs.

    Raises:
        TargetError: The board cannot be reached, or has no place.
    """
    on_progress(f"connect to {target.name}", 0, 0)
    with open_device(target) as device:
        yield device


def prepare_for(
    device: Device,
    models: Sequence[ModelFile],
    wheelhouse: Path | None,
    on_progress: OnProgress,
    force: bool = False,
) -> KernelClass:
    """Admit models to a board, and bring its runtime there.

    Args:
        device: Board.
        models: Files that its runtime is to load; at least one, all of one format.
        wheelhouse: Folder of wheels, where there is no network.
        on_progress: Called as the work goes on.
        force: Whether a refusal of the runtime by its release is overridden.

    Returns:
        Kernels that will compute there.

    Raises:
        ConversionError: The board's runtime cannot load one of the models.
        TargetError: The board loads no runtime, or has no room for it.
        AgentError: The runtime is there, but does not load.
    """
    for model in models:
        admit(model, device, force)
    return _prepare(device, models, wheelhouse, on_progress)


def _prepare(
    device: Device, models: Sequence[ModelFile], wheelhouse: Path | None, on_progress: OnProgress
) -> KernelClass:
    uses_delegate = device.target.execution.uses_delegate
    with_delegate = any(uses_delegate(model.format, model.edgetpu) for model in models)
    return device.prepare_runtime(models[0].format, wheelhouse, on_progress, with_delegate)


def ready(
    device: Device,
    models: Sequence[ModelFile],
    wheelhouse: Path | None,
    on_progress: OnProgress,
    force: bool = False,
) -> Ready:
    """Admit models to a board, bring its runtime there, and then the models.

    Args:
        device: Board.
        models: Files to send; at least one, all of one format.
        wheelhouse: Folder of wheels, where there is no network.
        on_progress: Called as the work goes on.
        force: Whether models go to a runtime that does not load them by its release.

    Raises:
        ConversionError: The board's runtime cannot load one of the models.
        TargetError: The board loads no runtime, or has no room.
        AgentError: The runtime is there, but does not load.
        IntegrityError: A file arrived damaged, or was replaced meanwhile.
    """
    overridden = tuple(filter(None, (admit(model, device, force) for model in models)))
    kernel_class = _prepare(device, models, wheelhouse, on_progress)
    started = time.monotonic()
    staged = tuple(device.push(model.path, on_progress) for model in models)
    for model, file in zip(models, staged, strict=True):
        if file.sha256 != model.sha256:
            raise IntegrityError(
                f"{model.path} was replaced while it was on its way: it has digest "
                f"{file.sha256[:12]}, and {model.sha256[:12]} was read",
                "Wait until nothing writes to it, then try again.",
            )
    return Ready(kernel_class, staged, time.monotonic() - started, overridden)
