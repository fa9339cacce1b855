"""A draft as a float .tflite, with which post-training quantization begins for every source."""

from __future__ import annotations

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
    model = UnpackedModel(convert_function(draft.function, report))
    model.fix_batch()
    return model.pack()
