"""Refuses a model before anything is sent that the board's runtime cannot load."""

from __future__ import annotations

from converters.errors import ConversionError
from converters.tflite.contract import refusals
from converters.tflite.reader import ModelFile
from targets.device import Device


class ModelRefusedError(ConversionError):
    """The runtime of the board is too old for the operators of this model."""


def admit(model: ModelFile, device: Device) -> None:
    """Check a model file against the runtime that the board will use.

    Raises:
        ModelRefusedError: The board's runtime cannot load it.
        NoRuntimeError: The board can load no runtime at all.
    """
    choice = device.runtime
    if model.edgetpu:
        raise ModelRefusedError(
            f"{model.path} was compiled for the Edge TPU, which {device.target.name} cannot drive",
            "Push the .tflite that it was compiled from.",
        )
    reasons = refusals(model, choice.distribution, choice.version)
    if reasons:
        raise ModelRefusedError(
            f"{device.target.name} cannot load {model.path}:"
            + "".join(f"\n  {reason}" for reason in reasons),
            "Convert it with a recipe of full int8 (ptq_w8a8, qat_w8a8), or use a board with "
            "Python 3.10 or newer and glibc 2.34 or newer.",
        )
