"""Drawings for a page, by Matplotlib: the one file that imports it.

Every drawing is an `svg` element of lines and text. Colors are names of the page's CSS
(`var(--ink)`), so that one drawing serves a light and a dark screen and print. Series differ by
their marks and dashes as well, for those who do not see their colors.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from toolkit.errors import ToolkitError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

#: Stand-ins that Matplotlib takes for colors; the page's CSS has the colors themselves.
_INK, _FAINT = "#010101", "#020202"
_SERIES = tuple(f"#0{number}0a0b" for number in range(1, 9))
_NAMES = {
    _INK: "var(--ink)",
    _FAINT: "var(--faint)",
    **{color: f"var(--series-{number})" for number, color in enumerate(_SERIES, 1)},
}
_MARKS = "osD^vP*X"
_DASHES = ("-", "--", "-.", ":")

#: Size of a drawing in inches at 72 dots: a phone in upright position shows it without scrolling.
_WIDTH_IN, _HEIGHT_IN = 5.4, 3.4
#: Height of one bar in inches.
_BAR_IN = 0.27
#: Points of a distribution: enough for a smooth line of this width.
_QUANTILES = 201
#: Ratio of the largest to the smallest value from which on an axis is logarithmic.
_FAR = 6.0

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "text.color": _INK,
    "axes.grid": True,
    "grid.color": _FAINT,
    "grid.linewidth": 0.4,
    "grid.alpha": 0.5,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


class PlotError(ToolkitError):
    """Matplotlib, which draws the plots, is not installed."""


@dataclass(frozen=True)
class Point:
    """A mark with the bars of its intervals."""

    name: str
    x: float
    x_interval: tuple[float, float]
    y: float
    y_interval: tuple[float, float] | None


@dataclass(frozen=True)
class Line:
    """Values over an axis."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    y_intervals: Sequence[tuple[float, float]] = ()
    """Interval of each value; empty where there are none."""


def draw_tradeoff(points: Sequence[Point], x_label: str, y_label: str, title: str) -> str:
    """Draw points by two figures; those that no other point beats in both are joined by a line.

    Args:
        points: Points; a smaller x and a larger y are better.
        x_label: Name and unit of x.
        y_label: Name and unit of y.
        title: Words for those who cannot see the drawing.
    """

    def draw(axes: Axes) -> None:
        for number, point in enumerate(points):
            low, high = point.y_interval or (point.y, point.y)
            left, right = point.x_interval
            axes.errorbar(
                point.x,
                point.y,
                xerr=[[max(0.0, point.x - left)], [max(0.0, right - point.x)]],
                yerr=[[max(0.0, point.y - low)], [max(0.0, high - point.y)]],
                fmt=_MARKS[number % len(_MARKS)],
                color=_SERIES[number % len(_SERIES)],
                markersize=7,
                elinewidth=1.2,
                capsize=2,
                label=point.name,
            )
        front = sorted(_front(points), key=lambda point: point.x)
        axes.plot([p.x for p in front], [p.y for p in front], color=_FAINT, linewidth=1, zorder=0)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.margins(0.12)
        _legend(axes)

    return _svg(draw, title)


def draw_front(points: Sequence[Point], x_label: str, y_label: str, title: str) -> str:
    """Draw the points of a front, each with its name beside it.

    Args:
        points: Points, the smallest x first.
        x_label: Name and unit of x.
        y_label: Name and unit of y.
        title: Words for those who cannot see the drawing.
    """

    def draw(axes: Axes) -> None:
        xs, ys = [point.x for point in points], [point.y for point in points]
        lows = [point.y_interval or (point.y, point.y) for point in points]
        axes.errorbar(
            xs,
            ys,
            xerr=_bars(xs, [point.x_interval for point in points]),
            yerr=_bars(ys, lows),
            fmt="o",
            color=_SERIES[0],
            markersize=5,
            elinewidth=1.0,
            capsize=2,
        )
        axes.plot(xs, ys, color=_FAINT, linewidth=1, zorder=0)
        for point in points:
            axes.annotate(
                point.name, (point.x, point.y), (5, 5), textcoords="offset points", color=_INK
            )
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.margins(0.12)

    return _svg(draw, title)


def _bars(values: Sequence[float], intervals: Sequence[tuple[float, float]]) -> list[list[float]]:
    """Lengths of the bars below and above each value."""
    pairs = list(zip(values, intervals, strict=True))
    return [
        [max(0.0, value - low) for value, (low, _) in pairs],
        [max(0.0, high - value) for value, (_, high) in pairs],
    ]


def draw_distributions(samples: Sequence[tuple[str, Floats]], x_label: str, title: str) -> str:
    """Draw the share of samples at or below each value, up to the 99th percentile.

    The axis of the values is logarithmic where they reach far.

    Args:
        samples: Name and values of each series; (samples,), any positive unit, none empty.
        x_label: Name and unit of the values.
        title: Words for those who cannot see the drawing.
    """

    def draw(axes: Axes) -> None:
        shares = np.linspace(0, 0.99, _QUANTILES)
        lowest, highest = np.inf, 0.0
        for number, (name, values) in enumerate(samples):
            bounds = np.quantile(values, shares)
            lowest, highest = min(lowest, bounds[0]), max(highest, bounds[-1])
            axes.plot(bounds, 100 * shares, label=name, **_line(number))
        if highest > _FAR * lowest > 0:
            axes.set_xscale("log")
            for ticks in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
                ticks(_plain_number)
        axes.set_xlabel(x_label)
        axes.set_ylabel("share of inferences, %")
        axes.set_ylim(0, 100)
        _legend(axes)

    return _svg(draw, title)


def draw_bars(
    names: Sequence[str], parts: Sequence[tuple[str, Sequence[float]]], x_label: str, title: str
) -> str:
    """Draw a bar for each name; several parts of a bar stand one behind the other.

    Args:
        names: Name of each bar, the uppermost first.
        parts: Name of each part, and its length in each bar.
        x_label: Name and unit of the lengths.
        title: Words for those who cannot see the drawing.
    """

    def draw(axes: Axes) -> None:
        begin = np.zeros(len(names))
        places = np.arange(len(names))
        for number, (name, lengths) in enumerate(parts):
            color = _SERIES[number % len(_SERIES)]
            axes.barh(places, lengths, left=begin, height=0.7, color=color, label=name)
            begin += np.asarray(lengths, np.float64)
        axes.set_yticks(places, [_shorten(name) for name in names])
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(x_label)
        if len(parts) > 1:
            _legend(axes)

    return _svg(draw, title, 1.0 + _BAR_IN * len(names) + (0.3 if len(parts) > 1 else 0.0))


def draw_lines(lines: Sequence[Line], x_label: str, y_label: str, title: str) -> str:
    """Draw values over an axis, such as time.

    Args:
        lines: Lines; none empty.
        x_label: Name and unit of x.
        y_label: Name and unit of y.
        title: Words for those who cannot see the drawing.
    """

    def draw(axes: Axes) -> None:
        for number, line in enumerate(lines):
            style = _line(number)
            axes.plot(line.x, line.y, label=line.name, marker=_mark(number, line), **style)
            if line.y_intervals:
                low, high = zip(*line.y_intervals, strict=True)
                axes.vlines(line.x, low, high, color=style["color"], linewidth=1.2)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        _legend(axes)

    return _svg(draw, title)


def _plain_number(value: float, _: float) -> str:
    """A tick without powers of ten; of the ticks between these only 2 and 5 are named."""
    if f"{value:e}"[0] not in "125":
        return ""
    return f"{value:,.0f}" if value >= 1 else f"{value:.4g}"


def _front(points: Sequence[Point]) -> list[Point]:
    """Points that no other point beats in both figures."""
    return [
        point
        for point in points
        if not any(
            other.x <= point.x and other.y >= point.y and (other.x, other.y) != (point.x, point.y)
            for other in points
        )
    ]


def _line(number: int) -> dict[str, Any]:
    return {
        "color": _SERIES[number % len(_SERIES)],
        "linestyle": _DASHES[number % len(_DASHES)],
        "linewidth": 1.6,
    }


def _mark(number: int, line: Line) -> str:
    """Marks where values are few; many are a line."""
    return _MARKS[number % len(_MARKS)] if len(line.x) <= 30 else ""


def _legend(axes: Axes) -> None:
    """Names above the drawing, where they hide nothing."""
    handles, names = axes.get_legend_handles_labels()
    columns = 1 if max(map(len, names), default=0) > 28 else min(3, len(names))
    axes.legend(
        [handle[0] if isinstance(handle, tuple) else handle for handle in handles],
        [_shorten(name) for name in names],
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=max(1, columns),
        borderaxespad=0.2,
        handlelength=1.6,
        columnspacing=1.2,
    )


def _shorten(name: str, most: int = 34) -> str:
    return name if len(name) <= most else name[: most // 2 - 1] + "…" + name[-most // 2 :]


def _svg(draw: Callable[[Axes], None], title: str, height_in: float = _HEIGHT_IN) -> str:
    """Let a function draw; return the `svg` element.

    Raises:
        PlotError: Matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise PlotError(
            "the report's plots need Matplotlib, which is not installed",
            'Install it: pip install "kedge[report]"',
        ) from error
    # Elements of two drawings of one page must not have one name.
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": title}):
        figure = Figure(figsize=(_WIDTH_IN, height_in), layout="constrained")
        draw(figure.subplots())
        return _element(figure, title)


def _element(figure: Figure, title: str) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->|<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # two drawings would have the same
    text = re.sub(r"#0[0-9a-f]0[0-9a-f]0[0-9a-f]", lambda m: _NAMES.get(m[0], m[0]), text)
    width, height = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)[0]
    head = f'<svg role="img" aria-label="{_attribute(title)}" viewBox="0 0 {width} {height}">'
    return re.sub(r"<svg[^>]*>", lambda _: head, text, count=1)


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
