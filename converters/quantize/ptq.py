"""Post-training quantization: the converter measures ranges on real samples and rounds the weights.

Weights get one scale per channel, in Dense too, although its op version does not say so to an old
runtime: on tflite-runtime 2.14.0 a wide Dense net whose channels differ 150-fold in range, and
ResNet-8, gave 0 LSB of difference to ai-edge-litert 2.3.0 with the same builtin kernels, and less
error than one scale per tensor. tests/converters/test_op_contract.py keeps asking.
"""

from __future__ import annotations

from dataclasses import replace

from converters.dataset import CALIBRATION
from converters.draft import DYNAMIC, F16, W8A8, W8A16, Draft, Materials
from converters.steps import PtqDynamic, PtqF16, PtqW8A8, PtqW8A16


def quantize_w8a8(draft: Draft, step: PtqW8A8, materials: Materials) -> Draft:
    """Ask for an integer file whose ranges are measured on the calibration samples.

    Args:
        draft: A float model.
        step: How many samples were wanted, and the type of input and output.
        materials: With the split "calibration".
    """
    return _calibrated(
        replace(draft, numbers=W8A8, io=step.io), step.calibration_samples, materials
    )


def quantize_w8a16(draft: Draft, step: PtqW8A16, materials: Materials) -> Draft:
    """Ask for a file with 16-bit activations; arguments as for `quantize_w8a8`."""
    return _calibrated(
        replace(draft, numbers=W8A16, io="int16"), step.calibration_samples, materials
    )


def store_f16(draft: Draft, step: PtqF16, materials: Materials) -> Draft:  # noqa: ARG001
    """Ask for weights that are stored as 16-bit floats."""
    return replace(draft, numbers=F16)


def quantize_dynamic(
    draft: Draft,
    step: PtqDynamic,  # noqa: ARG001
    materials: Materials,  # noqa: ARG001
) -> Draft:
    """Ask for weights that are stored in 8 bits, and activations rounded while the model runs."""
    return replace(draft, numbers=DYNAMIC)


def _calibrated(draft: Draft, wanted: int, materials: Materials) -> Draft:
    calibration = materials.samples[CALIBRATION]
    warnings = draft.warnings
    if len(calibration) < wanted:
        warnings += (
            f"only {len(calibration)} of {wanted} calibration samples are there; "
            "ranges measured on few samples may cut off what the model meets later",
        )
    return replace(
        draft,
        calibration=calibration,
        warnings=warnings,
        found={"calibration_samples": len(calibration)},
    )
