"""A file for the Edge TPU: the compiler's table beside the prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolkit.report import words
from toolkit.report.tables import Block, Note, Table

if TYPE_CHECKING:
    from converters.edgetpu_conversion import EdgetpuCompilation


def describe_compilation(compilation: EdgetpuCompilation) -> list[Block]:
    """Return what the compiler did, for a person."""
    report = compilation.report
    if not report.is_readable:
        text = (
            "the output of edgetpu_compiler has no table of operators that kedge knows, so nothing "
            "is known of their placement: kedge bench on the board shows it"
        )
        return [f"{words.path(compilation.path)}: compiled for the Edge TPU", Note(text)]
    rows = [[each.op, str(each.count), each.status] for each in report.operators]
    blocks: list[Block] = [
        f"{words.path(compilation.path)}: {report.mapped} of {report.total} operators on the Edge "
        f"TPU, {words.size(report.cached_bytes)} of parameters on the chip, "
        f"{words.size(report.streamed_bytes)} sent for each inference",
        Table("", ["operator", "count", "status"], rows),
    ]
    differences = compilation.differences
    if not differences:
        return [*blocks, "the compiler placed every operator as kedge predicted"]
    text = ", ".join(f"{d.op} {d.compiled} instead of {d.predicted}" for d in differences)
    return [*blocks, Note(f"the compiler placed operators otherwise than predicted: {text}")]
