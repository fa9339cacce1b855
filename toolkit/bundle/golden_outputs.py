"""The host's outputs of golden inputs: what a board's outputs are compared with."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from converters.data.array_file import ARRAY_DAMAGE, array_of, check_array_sizes
from converters.evidence.conversion import GOLDEN_NAME
from converters.evidence.golden import Golden, read_golden
from device_agent.contract.codes import IntegrityError
from device_agent.contract.measurement import KernelClass, kernel_class_from_json, to_json
from device_agent.contract.records import RecordError, parse_json

#: Name of the file among the files of a variant that stay on the host.
GOLDEN_OUTPUTS_NAME = "golden_outputs.npz"

_OUTPUT_PREFIX, _ABOUT = "output/", "about"

#: First day that a ZIP file can name, so that equal outputs give equal bytes.
_NO_DATE = (1980, 1, 1, 0, 0, 0)

Tensors = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class GoldenOutputs:
    """Outputs that a host computed of golden inputs."""

    model_sha256: str
    """Digest of the file that computed them. For a model that only an Edge TPU runs it is the
    file from which that was compiled."""
    kernel_class: KernelClass
    """Kernels that computed them."""
    outputs: Tensors
    """Output name to array of shape (n, ...): first of `Golden.inputs`, then of `more_inputs`."""


def write_golden_outputs(golden: GoldenOutputs) -> bytes:
    """Write outputs as an .npz without pickled objects; equal outputs give equal bytes.

    Args:
        golden: Outputs; each array has the shape (n, ...) and any numeric dtype.
    """
    about = {"model_sha256": golden.model_sha256, "kernel_class": to_json(golden.kernel_class)}
    text = json.dumps(about, sort_keys=True)
    arrays = {_OUTPUT_PREFIX + name: values for name, values in golden.outputs.items()}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, array in {_ABOUT: np.array(text), **arrays}.items():
            part = io.BytesIO()
            np.save(part, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _NO_DATE), part.getvalue())
    return content.getvalue()


def golden_of_variant(folder: Path) -> tuple[Golden, GoldenOutputs] | None:
    """Read golden inputs and outputs out of the folder of a variant that was unpacked.

    Args:
        folder: Folder of `unpack_variant`.

    Returns:
        Inputs and the host's outputs; `None` where the variant has none.

    Raises:
        IntegrityError: The files are not those that a bundle has.
        ConversionError: The inputs are damaged.
    """
    path = folder / GOLDEN_OUTPUTS_NAME
    if not path.is_file():
        return None
    golden = read_golden(folder / GOLDEN_NAME)
    try:
        with path.open("rb") as stream:
            check_array_sizes(stream)
            with np.load(stream, allow_pickle=False) as arrays:
                outputs = _read(arrays)
    except (*ARRAY_DAMAGE, KeyError, TypeError, RecordError) as error:
        raise IntegrityError(
            f"{path}: holds no outputs of golden inputs: {error}", "Build the bundle again."
        ) from error
    count = sum(
        len(next(iter(inputs.values()))) for inputs in (golden.inputs, golden.more_inputs) if inputs
    )
    if any(len(values) != count for values in outputs.outputs.values()):
        raise IntegrityError(
            f"{path}: is not about the {count} samples of {GOLDEN_NAME}", "Build the bundle again."
        )
    return golden, outputs


def _read(arrays: Any) -> GoldenOutputs:
    about = parse_json(str(array_of(arrays, _ABOUT)).encode())
    outputs = {
        name.removeprefix(_OUTPUT_PREFIX): array_of(arrays, name)
        for name in arrays.files
        if name.startswith(_OUTPUT_PREFIX)
    }
    if not outputs or any(values.dtype.kind not in "biuf" for values in outputs.values()):
        raise RecordError("outputs that are absent or no numbers")
    kernel_class = kernel_class_from_json(about["kernel_class"])
    return GoldenOutputs(str(about["model_sha256"]), kernel_class, outputs)
