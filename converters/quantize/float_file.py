"""A draft as a float .tflite: what post-training quantization begins with, whatever the source."""

from __future__ import annotations

from dataclasses import replace

from converters.draft.draft import FLOAT32, Draft
from converters.draft.emit import converted
from converters.progress import Report
from converters.tflite.unpacked import UnpackedModel


def float_file(draft: Draft, report: Report) -> bytes:
    """The float .tflite of a draft, of batch one.

    Args:
        draft: Not quantized yet.
        report: Where progress goes.

    Raises:
        ConversionError: The converter fails.
    """
    if draft.content is not None:
        return draft.content
    made = UnpackedModel(converted(replace(draft, numbers=FLOAT32, calibration=None), report))
    made.fix_batch()
    return made.pack()
