"""Files of narrower models, to be measured before one of them is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

import numpy as np

from converters.dataset import TRAIN
from converters.draft import FLOAT32, W8A8, Draft, Materials
from converters.emit import emit
from converters.errors import ConversionError
from converters.graph.build import build_model
from converters.graph.node import Graph
from converters.latency import LatencyUs
from converters.model_source import batch_one_function
from converters.progress import Progress, ignore
from converters.prune_channels.channels import Channels
from converters.prune_channels.cut import without_channels
from converters.prune_channels.ladder import Doubles, Ladder, Levels

#: Ranges do not change how long a file takes: so few samples set them.
_SAMPLES = 2


class Trials:
    """Measures choices; to be used in a `with`, which keeps the files so long.

    Attributes:
        us: Choice to its latency when it was measured last, in microseconds.
    """

    def __init__(
        self, graph: Graph, channels: Channels, ladder: Ladder, materials: Materials
    ) -> None:
        self._graph, self._channels, self._ladder = graph, channels, ladder
        self._materials = materials
        self._folder = TemporaryDirectory(prefix="kedge-widths-")
        self._paths: dict[tuple[int, ...], Path] = {}
        self._numbers = W8A8
        self.us: dict[tuple[int, ...], float] = {}

    def __enter__(self) -> Trials:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._folder.cleanup()

    def measured(self, levels: Levels, latency_us: LatencyUs) -> Doubles:
        """Latency of choices, as shares of that of the whole model in the same measurement.

        Args:
            levels: Shape (choices, groups).
            latency_us: Measures files in turn.

        Raises:
            ConversionError: Nothing could be measured.
        """
        rows = [tuple(map(int, row)) for row in (self._ladder.whole, *levels)]
        report = self._materials.report
        paths = []
        for done, row in enumerate(rows, start=1):
            paths.append(self._path(row))
            report(Progress("write widths", done, len(rows)))
        report(Progress("measure widths", 0, len(rows)))
        found = latency_us(paths)
        report(Progress("measure widths", len(rows), len(rows)))
        self.us |= dict(zip(rows, found, strict=True))
        return np.array(found[1:]) / found[0]

    def _path(self, row: tuple[int, ...]) -> Path:
        if row not in self._paths:
            graph = without_channels(self._graph, self._channels, self._ladder.removed(row))
            path = Path(self._folder.name) / ("_".join(map(str, row)) + ".tflite")
            try:
                self._emit(graph, path)
            except ConversionError:
                if self._numbers == FLOAT32:
                    raise
                # It has a layer that int8 files cannot have: no recipe will make it one.
                self._numbers = FLOAT32
                self._emit(graph, path)
            self._paths[row] = path
        return self._paths[row]

    def _emit(self, graph: Graph, path: Path) -> None:
        model = build_model(graph)
        shape = self._materials.source.input_shape
        function = batch_one_function(lambda x: model(x, training=False), shape)
        draft = Draft(function, model, numbers=self._numbers)
        if self._numbers == W8A8:
            samples = self._materials.samples[TRAIN]
            few = replace(
                samples, stored=samples.stored[:_SAMPLES], labels=samples.labels[:_SAMPLES]
            )
            draft = replace(draft, calibration=few)
        emit(draft, path, ignore)
