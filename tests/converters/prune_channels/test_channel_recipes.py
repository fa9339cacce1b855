"""How channels go by a recipe: what is aimed at, what decides, in how many rounds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from converters.measure import Figure, FileFigures
from converters.recipe.recipe import RecipeError, load_recipe
from converters.request import ConversionRequest
from converters.tflite.reader import read_model
from tests.converters.warm import convert

RECIPE = """
schema = 1
[[step]]
kind = "channels"
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., Any]:
    """A function that writes a recipe of one step; its path."""

    def write(fields: str) -> str:
        path = tmp_path / "mine.toml"
        path.write_text(RECIPE + fields)
        return str(path)

    return write


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ("macs_ratio = 0.5", "channels50"),
        ("parameters_ratio = 0.3", "channels70parameters"),
        ("latency_ratio = 0.6", "channels40latency"),
        ("macs_ratio = 0.5\nrounds = 3", "channels50x3"),
    ],
)
def test_the_name_of_a_recipe_tells_what_is_gone(
    recipe: Callable[..., Any], fields: str, name: str
) -> None:
    assert load_recipe(recipe(fields)).name == name


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ("", "no ratio"),
        ("macs_ratio = 0.5\nlatency_ratio = 0.5", "macs_ratio and latency_ratio"),
    ],
)
def test_one_ratio_is_given_neither_none_nor_two(
    recipe: Callable[..., Any], fields: str, found: str
) -> None:
    with pytest.raises(RecipeError, match=f"{found} given, expected one of") as caught:
        load_recipe(recipe(fields))
    assert "macs_ratio = 0.5" in caught.value.hint


def test_in_rounds_and_by_measured_losses(
    recipe: Callable[..., Any], digits_request: ConversionRequest, tmp_path: Path
) -> None:
    fields = 'macs_ratio = 0.4\nscope = "sensitivity"\nimportance = "l1"\nrounds = 2\n'
    request = replace(digits_request, recipe=recipe(fields), out=tmp_path / "out")
    reports = []
    conversion = convert(request, reports.append)
    (record,) = conversion.step_records
    whole, between, after = record.found["macs"]
    assert after / whole == pytest.approx(0.4, abs=0.06)
    assert between / whole == pytest.approx(0.4**0.5, abs=0.1)
    for curve in record.found["losses"]:
        assert curve["layers"]
        assert list(curve["loss_added"]) == sorted(curve["loss_added"])
        assert list(curve["channels"]) == sorted(curve["channels"], reverse=True)
    assert {"try each layer", "reconstruct layers", "distill"} <= {r.stage for r in reports}
    # No training follows: what stays makes up for most of what went.
    assert conversion.accuracy.fraction >= conversion.float_accuracy.fraction - 0.1


class Measured:
    """Measures files as this host runs them, and remembers them."""

    def __init__(self) -> None:
        self.paths, self.inputs, self.answers = set(), set(), []

    def __call__(self, paths: list[Path]) -> list[float]:
        self.paths |= set(paths)
        self.inputs |= {read_model(path).inputs[0].dtype for path in paths}
        self.answers += [self._median_us(path) for path in paths]
        return [
            FileFigures(Figure(us, us, us), Figure(1e6, 1e6, 1e6))
            for us in self.answers[-len(paths) :]
        ]

    @staticmethod
    def _median_us(path: Path) -> float:
        interpreter = Interpreter(str(path), num_threads=1)
        interpreter.allocate_tensors()
        samples = []
        for _ in range(50):
            started = time.perf_counter()
            interpreter.invoke()
            samples.append(1e6 * (time.perf_counter() - started))
        return float(np.median(samples))


def test_files_are_measured_before_one_is_chosen(
    recipe: Callable[..., Any], digits_request: ConversionRequest, tmp_path: Path
) -> None:
    fields = "macs_ratio = 0.6\nmultiple = 16\n"
    request = replace(digits_request, recipe=recipe(fields), out=tmp_path / "out")
    measure = Measured()
    conversion = convert(request, measure=measure)
    found = conversion.step_records[0].found
    assert found["chosen_by"] == "latency"
    assert set(found["latency_us"]) <= set(measure.answers)
    assert 1 <= found["measured_files"] < len(measure.answers)
    assert measure.inputs == {"int8"}
    assert not any(path.exists() for path in measure.paths)


def test_without_a_board_macs_stand_in_for_latency(
    recipe: Callable[..., Any], digits_request: ConversionRequest, tmp_path: Path
) -> None:
    fields = 'latency_ratio = 0.5\nimportance = "l2"\n'
    request = replace(digits_request, recipe=recipe(fields), out=tmp_path / "out")
    conversion = convert(request)
    (record,) = conversion.step_records
    before, after = record.found["macs"]
    assert after / before == pytest.approx(0.5, abs=0.05)
    assert (record.found["chosen_by"], list(record.found["latency_us"])) == ("macs", [])
    assert any("no latency is measured" in warning for warning in conversion.warnings)
