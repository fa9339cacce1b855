"""The files that belong to a model: its card, its labels, its evidence and its golden vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from converters.digest import sha256_of
from converters.evidence.conversion import (
    CONVERSION_NAME,
    GOLDEN_NAME,
    MODEL_NAME,
    Conversion,
    read_conversion,
)
from converters.evidence.golden import Golden
from converters.evidence.model_toml import MODEL_TOML, card_beside, label_files
from converters.formats import FORMATS, read_model_file
from converters.model_file import ModelFile
from device_agent.contract.manifest import CARD, DATA, EVIDENCE, GOLDEN, LABELS, MODEL
from device_agent.contract.model_card import ModelCard
from targets.progress import OnProgress
from toolkit.bundle.bundle_file import BundleError
from toolkit.bundle.golden_outputs import (
    GOLDEN_OUTPUTS_NAME,
    GoldenOutputs,
    write_golden_outputs,
)
from toolkit.measure.inputs import golden_beside
from toolkit.measure.outputs import host_class
from toolkit.measure.state import reset_before_samples


@dataclass(frozen=True)
class ReleaseFile:
    """A file on its way into a bundle."""

    path: str
    """Path in the release."""
    role: str
    """One of `device_agent.contract.manifest.ROLES`."""
    source: Path | bytes = field(repr=False)
    """File, or its content."""
    sha256: str
    """Digest of the content."""
    size: int
    """Size of the content in bytes."""


@dataclass(frozen=True)
class ModelFiles:
    """A model, and the files that belong to it."""

    model: ModelFile
    """The model."""
    reference: ModelFile
    """The model, or for one that only an Edge TPU runs, the file from which it was compiled."""
    conversion: Conversion | None
    """Conversion that made `reference`; `None` where there is no evidence."""
    board: tuple[ReleaseFile, ...]
    """Files that boards get, the model first."""
    host: tuple[ReleaseFile, ...]
    """Files that stay on the host."""


def collect_model(
    model: ModelFile, others: Sequence[ModelFile], on_progress: OnProgress
) -> ModelFiles:
    """Collect the files beside a model, and compute the outputs of its golden inputs.

    Args:
        model: Model.
        others: Models among which the one is sought from which an Edge TPU's was compiled.
        on_progress: Called as the work goes on.

    Raises:
        ConversionError: A file beside the model is damaged, or this host cannot run the model.
        IntegrityError: The evidence beside the model is about another file.
        BundleError: A file cannot be read.
    """
    folder, reference = model.path.parent, _reference_of(model, others)
    board = [release_file(f"model.{model.format}", MODEL, model.path)]
    card = card_beside(model)
    if card is not None:
        board.append(release_file(MODEL_TOML, CARD, folder / MODEL_TOML))
        for name in label_files(folder / MODEL_TOML):
            board.append(release_file(name, LABELS, folder / name))
    host, conversion = [], None
    if reference is not None:
        conversion = _conversion_of(reference)
        beside = reference.path.parent
        if conversion is not None:
            host.append(release_file(CONVERSION_NAME, EVIDENCE, beside / CONVERSION_NAME))
        golden = golden_beside(reference)
        if golden is not None:
            host.append(release_file(GOLDEN_NAME, GOLDEN, beside / GOLDEN_NAME))
            outputs = _outputs_of(reference, golden, card or ModelCard(), on_progress)
            host.append(release_file(GOLDEN_OUTPUTS_NAME, GOLDEN, outputs))
    return ModelFiles(model, reference or model, conversion, tuple(board), tuple(host))


def extra_file(path: Path) -> ReleaseFile:
    """Describe a file that every variant gets, such as labels or thresholds.

    Raises:
        BundleError: It cannot be read.
    """
    role = LABELS if "label" in path.name.lower() else DATA
    return release_file(path.name, role, path)


def release_file(path: str, role: str, source: Path | bytes) -> ReleaseFile:
    """Describe a file for a bundle.

    Args:
        path: Path in the release.
        role: One of `device_agent.contract.manifest.ROLES`.
        source: File, or its content.

    Raises:
        BundleError: It cannot be read.
    """
    if isinstance(source, bytes):
        return ReleaseFile(path, role, source, hashlib.sha256(source).hexdigest(), len(source))
    try:
        if not source.is_file():
            raise BundleError(f"{source}: expected a file", "Name files, or check the path.")
        return ReleaseFile(path, role, source, sha256_of(source), source.stat().st_size)
    except OSError as error:
        raise BundleError(
            f"{source}: cannot be read: {error.strerror}", "Check the path and its rights."
        ) from error


def _reference_of(model: ModelFile, others: Sequence[ModelFile]) -> ModelFile | None:
    """Return the file whose outputs the host can compute; an Edge TPU's it can not."""
    if not model.edgetpu:
        return model if not FORMATS[model.format].foreign_ops(model) else None
    candidates = [other for other in others if not other.edgetpu]
    beside = model.path.parent / MODEL_NAME
    if beside.is_file():
        candidates.insert(0, read_model_file(beside))
    for candidate in candidates:
        if (candidate.inputs, candidate.outputs) == (model.inputs, model.outputs):
            return candidate
    return None


def _conversion_of(model: ModelFile) -> Conversion | None:
    folder = model.path.parent
    if not (folder / CONVERSION_NAME).is_file():
        return None
    conversion = read_conversion(folder)
    return conversion if conversion.model_sha256 == model.sha256 else None


def _outputs_of(
    model: ModelFile, golden: Golden, card: ModelCard, on_progress: OnProgress
) -> bytes:
    inputs: dict[str, Any] = golden.inputs
    if golden.more_inputs:
        more = golden.more_inputs
        inputs = {name: np.concatenate([array, more[name]]) for name, array in inputs.items()}
    outputs = FORMATS[model.format].run(
        model.path,
        inputs,
        lambda done, total: on_progress("infer golden inputs on this host", done, total),
        reset=reset_before_samples(model, card),
    )
    about = GoldenOutputs(model.sha256, host_class(model.format), outputs)
    return write_golden_outputs(about)
