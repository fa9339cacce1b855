"""Files of narrower models, which are measured before one of these models is trained."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

import numpy as np

from converters.draft.draft import Materials
from converters.draft.trial_file import write_trial
from converters.graph.node import Graph
from converters.measure import Measure, latencies_us
from converters.progress import Progress
from converters.prune_channels.channels import Channels
from converters.prune_channels.cut import without_channels
from converters.prune_channels.ladder import Doubles, Ladder, Levels


class Trials:
    """Measures choices. It is used in a `with` statement, at whose end its files are deleted."""

    def __init__(
        self, graph: Graph, channels: Channels, ladder: Ladder, materials: Materials
    ) -> None:
        self._graph, self._channels, self._ladder = graph, channels, ladder
        self._materials = materials
        self._folder = TemporaryDirectory(prefix="kedge-widths-")
        self._paths: dict[tuple[int, ...], Path] = {}
        #: Choice to its latency in the last measurement, in microseconds.
        self.latency_us: dict[tuple[int, ...], float] = {}

    def __enter__(self) -> Trials:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._folder.cleanup()

    def measure_choices(self, levels: Levels, measure: Measure) -> Doubles:
        """Measure the latency of choices.

        Args:
            levels: Choices, int64, shape (choices, groups).
            measure: Function that measures files.

        Returns:
            Latency of each choice as a share of the whole model's in the same measurement, float64,
            shape (choices,).

        Raises:
            ConversionError: A file cannot be written or measured.
        """
        rows = [tuple(map(int, row)) for row in (self._ladder.whole, *levels)]
        report = self._materials.report
        paths = []
        for done, row in enumerate(rows, start=1):
            paths.append(self._path(row))
            report(Progress("write widths", done, len(rows)))
        report(Progress("measure widths", 0, len(rows)))
        latencies = latencies_us(measure, paths)
        report(Progress("measure widths", len(rows), len(rows)))
        self.latency_us |= dict(zip(rows, latencies, strict=True))
        return np.array(latencies[1:]) / latencies[0]

    def _path(self, row: tuple[int, ...]) -> Path:
        if row not in self._paths:
            graph = without_channels(
                self._graph, self._channels, self._ladder.channels_to_remove(row)
            )
            path = Path(self._folder.name) / ("_".join(map(str, row)) + ".tflite")
            write_trial(graph, path, self._materials)
            self._paths[row] = path
        return self._paths[row]
