"""A graph whose rounding grows from node to node is no wrong graph; one wrong node is named."""

from __future__ import annotations

import pytest

from tests.converters.conftest import run_child

CHAIN = """
import sys
from pathlib import Path

import numpy as np

from converters.errors import ConversionError
from converters.graph.node import DENSE, INPUT, Graph, Node
from converters.sources.import_check import Inner, check_import
from converters.sources.inputs_outputs import ModelTensor

factors = [float(word) for word in sys.argv[1].split(",")]
names = [f"d{number}" for number in range(len(factors))]
nodes = [Node("x", INPUT, (), (4,))]
for before, name in zip(["x", *names], names):
    nodes.append(Node(name, DENSE, (before,), (4,), weights=name))
eye = {"kernel": np.eye(4, dtype=np.float32), "bias": np.zeros(4, np.float32)}
graph = Graph("chain", tuple(nodes), (names[-1],), {name: eye for name in names})

def values(batch):
    return {name: batch * np.prod(factors[: number + 1]).astype(np.float32)
            for number, name in enumerate(names)}

try:
    worst = check_import(
        Path("chain.tflite"), graph, [ModelTensor("x", (4,))], [ModelTensor("y", (4,))],
        lambda batch: values(batch)[names[-1]], lambda: Inner(graph, values),
    )
    print(f"accepted {worst:.1e}")
except ConversionError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("factors", "words"),
    [
        ([1.00005] * 8, "accepted 4.0e-04"),
        ([1.0, 1.0, 1.0004, 1.0], "the first node that differs is 'd2' (dense)"),
        ([1.00005] * 30, "the difference is 0.0015 of the largest answer"),
    ],
)
def test_each_node_is_judged_by_what_the_model_gives_it(factors: list[float], words: str) -> None:
    assert words in run_child("-c", CHAIN, ",".join(map(str, factors)))
