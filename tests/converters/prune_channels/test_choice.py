"""How many channels each layer keeps: by importance, by size, and by what a board measures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from converters.graph.cost import macs, parameters
from converters.graph.node import Graph, Node
from converters.prune_channels.channels import channels_of
from converters.prune_channels.choose import (
    GLOBAL,
    LATENCY,
    MACS,
    PARAMETERS,
    UNIFORM,
    Choice,
    WidthTarget,
    choose_widths,
    importance_losses,
)
from converters.prune_channels.cut import without_channels
from converters.prune_channels.importance import by_norm
from converters.prune_channels.ladder import Bounds, Sizes, ladder_of
from converters.prune_channels.latency_model import LatencyModel

PLAIN = {"strides": (1, 1), "padding": "same", "dilation": (1, 1), "groups": 1}


def kernel(*shape: Any) -> dict[str, np.ndarray]:
    random = np.random.default_rng(shape)
    return {
        "kernel": random.normal(0, 1, shape).astype(np.float32),
        "bias": random.normal(0, 1, shape[-1]).astype(np.float32),
    }


def chain(*widths: Any, weights: Any = None) -> Graph:
    """Convolutions of 3x3, one behind the other; the last is the output."""
    names = [f"conv{number}" for number in range(len(widths))]
    nodes, made, before, channels = [Node("image", "input", (), (4, 4, 3))], {}, "image", 3
    for name, width in zip(names, widths, strict=True):
        nodes.append(Node(name, "conv", (before,), (4, 4, width), PLAIN, name))
        made[name] = kernel(3, 3, channels, width)
        before, channels = name, width
    return Graph("m", tuple(nodes), (before,), {**made, **(weights or {})})


class Case:
    """A graph, and everything that a choice is made of."""

    def __init__(
        self, graph: Graph, bounds: Bounds | None = None, importance: dict[int, float] | None = None
    ) -> None:
        self.graph, self.channels = graph, channels_of(graph)
        self.importance = importance or by_norm(graph, self.channels, 2)
        self.ladder = ladder_of(self.channels, self.importance, bounds or Bounds(8, 8))
        self.sizes = Sizes(graph, self.channels, self.ladder)
        self.lost = importance_losses(self.ladder, self.importance)

    def choose(self, target: WidthTarget, measure: Any = None) -> Choice:
        return choose_widths(self.ladder, self.sizes, self.lost, target, measure)

    def small(self, choice: Choice) -> Graph:
        return without_channels(
            self.graph, self.channels, self.ladder.channels_to_remove(choice.levels)
        )

    def widths(self, levels: np.ndarray | tuple[int, int, int]) -> list[int]:
        return [counts[level] for counts, level in zip(self.ladder.counts, levels, strict=True)]

    def importance_lost(self, levels: np.ndarray | tuple[int, int, int]) -> float:
        return sum(self.importance[channel] for channel in self.ladder.channels_to_remove(levels))


@pytest.fixture
def wide() -> Any:
    return Case(chain(64, 64, 32, 4))


@pytest.mark.parametrize("scope", [UNIFORM, GLOBAL])
@pytest.mark.parametrize("multiple", [1, 4, 8])
@pytest.mark.parametrize("ratio", [0.3, 0.5, 0.8])
def test_what_stays_are_multiples_and_near_the_aim(scope: str, multiple: int, ratio: float) -> None:
    case = Case(chain(64, 64, 32, 4), Bounds(multiple, 8))
    choice = case.choose(WidthTarget(ratio, scope=scope))
    small = case.small(choice)
    widths = [node.shape[-1] for node in small.nodes[1:-1]]
    assert all(width % multiple == 0 and width >= 8 for width in widths)
    assert abs(macs(small) / macs(case.graph) - ratio) < (0.04 if multiple == 1 else 0.15)


def test_parameters_can_be_what_is_aimed_at(wide: Any) -> None:
    small = wide.small(wide.choose(WidthTarget(0.4, PARAMETERS)))
    assert parameters(small) / parameters(wide.graph) == pytest.approx(0.4, abs=0.04)


def test_every_choice_costs_what_the_graph_then_costs() -> None:
    nodes = [
        Node("image", "input", (), (4, 4, 3)),
        Node("a", "conv", ("image",), (4, 4, 16), PLAIN, "a"),
        Node("deep", "depthwise", ("a",), (4, 4, 32), PLAIN, "deep"),
        Node("slope", "prelu", ("deep",), (4, 4, 32), weights="slope"),
        Node("b", "conv", ("a",), (4, 4, 8), PLAIN, "b"),
        Node("both", "concat", ("slope", "b"), (4, 4, 40), {"axis": 3}),
        Node("flat", "flatten", ("both",), (640,)),
        Node("out", "dense", ("flat",), (4,), weights="out"),
    ]
    weights = {
        "a": kernel(3, 3, 3, 16),
        "deep": {**kernel(3, 3, 16, 2), "bias": np.zeros(32, np.float32)},
        "slope": {"alpha": np.ones((1, 1, 32), np.float32)},
        "b": kernel(1, 1, 16, 8),
        "out": kernel(640, 4),
    }
    case = Case(Graph("m", tuple(nodes), ("out",), weights), Bounds(4, 4))
    tops = [len(counts) for counts in case.ladder.counts]
    assert np.prod(tops) > 4
    for levels in np.ndindex(*tops):
        small = without_channels(case.graph, case.channels, case.ladder.channels_to_remove(levels))
        assert case.sizes.macs(np.array([levels]))[0] == macs(small)
        assert case.sizes.parameters(np.array([levels]))[0] == parameters(small)


def test_the_smallest_channels_go_first() -> None:
    graph = chain(16, 16, 4)
    weights = {key: {name: a.copy() for name, a in of.items()} for key, of in graph.weights.items()}
    weights["conv1"]["kernel"][..., 4:] *= 1e-3
    weights["conv2"]["kernel"][:, :, 4:] *= 1e-3
    changed = Graph("m", graph.nodes, graph.outputs, weights)
    channels = channels_of(changed)
    for order in (1, 2):
        case = Case(changed, Bounds(4, 4), by_norm(changed, channels, order))
        choice = case.choose(WidthTarget(0.35))
        assert case.ladder.channels_to_remove(choice.levels) == {*channels.of["conv1"][4:].tolist()}


def test_a_latency_that_follows_the_macs_is_foretold_exactly(wide: Any) -> None:
    whole = wide.sizes.macs(wide.ladder.whole[None])
    alone = []
    for group, counts in enumerate(wide.ladder.counts):
        rows = np.zeros((len(counts), len(wide.ladder.counts)), np.int64)
        rows[:, group] = np.arange(len(counts))
        alone.append(wide.sizes.macs(rows) / whole)
    model = LatencyModel(wide.sizes, alone)
    levels = np.array(list(np.ndindex(*map(len, wide.ladder.counts))))
    np.testing.assert_allclose(model.ratios(levels), wide.sizes.macs(levels) / whole, atol=0.05)
    np.testing.assert_allclose(model.ratios(levels[:8]), wide.sizes.macs(levels[:8]) / whole)


class Board:
    """Computes 16 channels at a time, as wide vector units do: 20 cost as much as 32."""

    def __init__(self, case: Any, noise: float = 0.0) -> None:
        self.case, self.noise, self.asked = case, noise, 0
        self._random = np.random.default_rng(0)

    def true(self, levels: list[tuple[int, int, int]] | np.ndarray) -> np.ndarray:
        widths = np.array([[3, *self.case.widths(row), 4] for row in levels])
        blocks = -(-widths // 16) * 16
        return (widths[:, :-1] * blocks[:, 1:]).sum(axis=1)

    def __call__(self, levels: np.ndarray) -> np.ndarray:
        self.asked += len(levels)
        shares = self.true(levels) / self.true(self.case.ladder.whole[None])
        return shares * (1 + self.noise * self._random.standard_normal(len(levels)))


@pytest.mark.parametrize("noise", [0.0, 0.02])
@pytest.mark.parametrize("ratio", [0.5, 0.75])
def test_of_choices_with_as_many_macs_the_one_that_the_board_likes_is_taken(
    wide: Any, ratio: float, noise: float
) -> None:
    board = Board(wide, noise)
    blind, measured = wide.choose(WidthTarget(ratio)), wide.choose(WidthTarget(ratio), board)
    small = wide.small(measured)
    assert macs(small) / macs(wide.graph) == pytest.approx(ratio, abs=0.04)
    whole = board.true(wide.ladder.whole[None])[0]
    slow, fast = board.true([blind.levels, measured.levels]) / whole
    assert fast <= slow * (1 + 2 * noise)
    assert measured.latency == pytest.approx(fast, abs=3 * noise + 1e-9)
    # Nothing near the target that loses as little is much faster.
    every = np.array(list(np.ndindex(*map(len, wide.ladder.counts))))
    shares = wide.sizes.macs(every) / macs(wide.graph)
    lost = np.array([wide.importance_lost(row) for row in every])
    near = (shares <= ratio + 0.01) & (shares >= ratio - 0.03)
    near &= lost <= wide.importance_lost(measured.levels)
    assert fast <= board.true(every[near]).min() / whole * (1.06 + 3 * noise)


def test_what_was_fast_once_by_chance_is_not_taken(wide: Any) -> None:
    class Jumps(Board):
        def __call__(self, levels: np.ndarray) -> np.ndarray:
            first = self.asked > 0 and not hasattr(self, "lucky")
            shares = super().__call__(levels)
            if first:
                self.lucky = tuple(map(int, levels[-1]))
                shares[-1] *= 0.7
            return shares

    board = Jumps(wide)
    calm = wide.choose(WidthTarget(0.5), Board(wide))
    assert (
        board.true([wide.choose(WidthTarget(0.5), board).levels])[0]
        <= 1.1 * (board.true([calm.levels])[0])
    )


@pytest.mark.parametrize("scope", [UNIFORM, GLOBAL])
def test_latency_can_be_what_is_aimed_at(wide: Any, scope: str) -> None:
    board = Board(wide)
    choice = wide.choose(WidthTarget(0.6, LATENCY, scope), board)
    assert choice.latency == pytest.approx(0.6, abs=0.06)
    assert board.true([choice.levels])[0] / board.true(wide.ladder.whole[None])[0] == pytest.approx(
        choice.latency
    )


def test_a_board_is_not_asked_about_everything(wide: Any) -> None:
    board = Board(wide)
    choice = wide.choose(WidthTarget(0.5), board)
    assert choice.trial_count <= board.asked < 70
    assert choice.latency is not None


def test_nobody_measures_then_macs_decide(wide: Any) -> None:
    choice = wide.choose(WidthTarget(0.5, LATENCY))
    assert choice == wide.choose(WidthTarget(0.5, MACS))
    assert choice.latency is None
