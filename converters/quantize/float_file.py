"""A draft as a float .tflite, with which post-training quantization begins for every source."""

from __future__ import annotations

from typing import Any

from converters.draft.draft import Draft
from converters.draft.emit import convert_function
from converters.progress import Report
from converters.tflite.unpacked import UnpackedModel


def float_file(draft: Draft, report: Report) -> bytes:
    """Convert a draft to a float .tflite of batch one.

    Args:
        draft: Draft that is not quantized yet.
        report: Function that receives the progress.

    Raises:
        ConversionError: The converter fails.
    """
    if draft.content is not None:
        return draft.content
    return float_file_of(draft.function, report)


def float_file_of(function: Any, report: Report) -> bytes:
    """Convert a concrete function of a batch of one to a float .tflite of batch one.

    Raises:
        ConversionError: The converter fails.
    """
    model = UnpackedModel(convert_function(function, report))
    model.fix_batch()
    return model.pack()
