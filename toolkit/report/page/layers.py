"""The section about the layers of each file: bits and zeros."""

from __future__ import annotations

from collections.abc import Sequence

from converters.digest import sha256_of
from converters.errors import ConversionError
from converters.formats import FORMATS, read_model_file
from converters.model_file import KernelFigures
from toolkit.report.page.content import Plot, Section
from toolkit.report.page.plots import draw_bars
from toolkit.report.page.reported_file import ReportedFile
from toolkit.report.tables import Table

#: Layers that a drawing and a table have room for, the largest ones.
_MOST = 24
_SHOWN_NAME = 44
#: Share of zeros from which on pruning is visible; rounding to 8 bits alone leaves fewer.
_WORTH_DRAWING = 0.3


def section_of_layers(files: Sequence[ReportedFile]) -> Section | None:
    """Return the bits and the share of zeros of each kernel; `None` where no file is at hand."""
    plots, tables = [], []
    for file in files:
        kernels = _kernels(file)
        if not kernels:
            continue
        names = [_end_of(kernel.name) for kernel in kernels]
        rows = [
            [name, str(kernel.bits), f"{kernel.size:,}", f"{100 * kernel.zero_share:.1f} %"]
            for name, kernel in zip(names, kernels, strict=True)
        ]
        tables.append(Table(file.name, ["kernel", "bits", "values", "zeros"], rows))
        if max(kernel.zero_share for kernel in kernels) > _WORTH_DRAWING:
            title = f"Zeros in the kernels of {file.name}"
            shares = [100 * kernel.zero_share for kernel in kernels]
            svg = draw_bars(names, [("zeros", shares)], "zeros, % of the values", title)
            plots.append(Plot(svg, f"{file.name}: share of zeros in each kernel."))
    if not tables:
        return None
    text = [f"The kernels of each file, at most the {_MOST} largest, in the order of their use."]
    return Section("layers", "Bits and zeros of each layer", text, plots, tables)


def _kernels(file: ReportedFile) -> list[KernelFigures]:
    """Kernels of a file that is still where it was; an absent or changed file has none."""
    if file.conversion is None:
        return []
    path = file.conversion.model
    try:
        if not path.is_file() or sha256_of(path) != file.sha256:
            return []
        model = read_model_file(path)
    except (ConversionError, OSError):
        return []
    kernels = FORMATS[model.format].kernel_figures(path)
    largest = sorted(kernels, key=lambda kernel: -kernel.size)[:_MOST]
    return [kernel for kernel in kernels if kernel in largest]


def _end_of(name: str) -> str:
    return name if len(name) <= _SHOWN_NAME else "…" + name[1 - _SHOWN_NAME :]
