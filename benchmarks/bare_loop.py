"""set_tensor, invoke, get_tensor and nothing else: what the agent's figures are held against.

python -m benchmarks.bare_loop MODEL SECONDS   # the median of invoke, microseconds
"""

from __future__ import annotations

import gc
import sys
import time
from statistics import median
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter


class BareLoop:
    """A model on one thread, fed with random numbers."""

    def __init__(self, path: str) -> None:
        self.interpreter = Interpreter(model_path=path, num_threads=1)
        self.interpreter.allocate_tensors()
        self._feeds = [
            (entry["index"], _random(entry)) for entry in self.interpreter.get_input_details()
        ]
        self._fetches = [entry["index"] for entry in self.interpreter.get_output_details()]

    def median_us(self, seconds: float) -> float:
        """Run for so long; return the median of `invoke` alone, microseconds."""
        interpreter, samples = self.interpreter, []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            for index, values in self._feeds:
                interpreter.set_tensor(index, values)
            before = time.perf_counter_ns()
            interpreter.invoke()
            samples.append(time.perf_counter_ns() - before)
            for index in self._fetches:
                interpreter.get_tensor(index)
        return median(samples) / 1e3


def _random(entry: dict[str, Any]) -> Any:
    low, high = (-1, 1) if entry["dtype"] == np.float32 else (-128, 127)
    return np.random.default_rng(0).uniform(low, high, entry["shape"]).astype(entry["dtype"])


def main(path: str, seconds: float) -> None:
    """Warm up as long as is measured, then measure."""
    loop = BareLoop(path)
    gc.disable()
    loop.median_us(seconds)
    print(loop.median_us(seconds))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
