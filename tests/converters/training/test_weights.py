"""Pruned and shared weights: what the file has of them after quantization-aware training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from converters.errors import ConversionError
from converters.evidence.conversion import Conversion
from converters.request import ConversionRequest
from tests.converters.warm import convert

RECIPE = """
schema = 1
[[step]]
kind = "sparse"
{fields}
[[step]]
kind = "{last}"
"""
#: In 8 bits, by a short training that has to keep the zeros.
QAT = 'qat_w8a8"\nepochs = 1\nlearning_rate = 1e-4\nteacher = "none'


@pytest.fixture(scope="module")
def few(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some of the digits: enough to see what a step leaves, not how well it learns."""
    path = tmp_path_factory.mktemp("few") / "few.npz"
    with np.load(digits / "digits.npz") as data:
        np.savez(path, **{name: x[:200] for name, x in data.items()})
    return path


@pytest.fixture
def pruned(digits_request: ConversionRequest, few: Path, tmp_path: Path) -> Callable[..., Any]:
    """Convert by a recipe with a step `sparse` with these fields."""

    def make(
        fields: str, last: str = "ptq_f16", data: Path = few, **changes: Any
    ) -> Conversion | None:
        path = tmp_path / "mine.toml"
        path.write_text(RECIPE.format(fields=fields, last=last))
        request = replace(digits_request, recipe=str(path), out=tmp_path / "out", data=data)
        return convert(replace(request, **changes))

    return make


def test_80_percent_zeros_are_in_the_file_that_was_trained_in_8_bits(
    pruned: Callable[..., Any], digits: Path, digits_ptq: Conversion
) -> None:
    conversion = pruned("epochs = 12", last="qat_w8a8", data=digits / "digits.npz")
    assert conversion.recipe == "sparse80_qat_w8a8"
    assert 0.795 < conversion.cost.sparsity < 0.81
    assert digits_ptq.cost.sparsity < 0.02
    assert conversion.cost.compressed_bytes < 0.5 * digits_ptq.cost.compressed_bytes
    assert conversion.model_bytes > 0.9 * digits_ptq.model_bytes  # only packing shows it
    assert conversion.accuracy.fraction > conversion.float_accuracy.fraction - 0.05
    zeros = conversion.step_records[0].found["zeros"]
    assert len(zeros) == 4
    assert all(0.79 < share < 0.81 for share in zeros.values())
    (note,) = [warning for warning in conversion.warnings if "zero weights" in warning]
    assert "its latency does not change" in note


def kernel_in(conversion: Conversion, *shape: Any) -> np.ndarray:
    """The one kernel of this shape in the int8 file, output channels first."""
    interpreter = Interpreter(str(conversion.model))
    interpreter.allocate_tensors()
    (index,) = (
        tensor["index"]
        for tensor in interpreter.get_tensor_details()
        if tuple(tensor["shape"]) == shape and tensor["dtype"] == np.int8
    )
    return interpreter.get_tensor(index)


def test_global_pruning_takes_from_each_layer_what_it_can_spare(pruned: Callable[..., Any]) -> None:
    conversion = pruned('epochs = 2\nsparsity = 0.5\nscope = "global"\nschedule = "constant"', QAT)
    zeros = conversion.step_records[0].found["zeros"].values()
    assert max(zeros) - min(zeros) > 0.01
    assert conversion.cost.sparsity == pytest.approx(0.5, abs=0.03)


def test_two_of_every_four_weights_are_zero(pruned: Callable[..., Any]) -> None:
    """Along the inputs of each kernel; the first, of one input channel, has no groups of four."""
    conversion = pruned('epochs = 2\nsparsity = 0.5\npattern = "2:4"\nschedule = "constant"', QAT)
    assert conversion.recipe == "sparse2of4_qat_w8a8"
    zeros = (kernel_in(conversion, 32, 3, 3, 16).reshape(-1, 4) == 0).sum(axis=1)
    assert (zeros >= 2).all()  # rounding may add one
    assert conversion.cost.sparsity == pytest.approx(0.5, abs=0.02)


def test_blocks_are_zero_in_dense_layers(pruned: Callable[..., Any]) -> None:
    conversion = pruned('epochs = 2\nsparsity = 0.75\npattern = "4x1"', QAT)
    zeros = conversion.step_records[0].found["zeros"]
    assert zeros == {"dense": pytest.approx(0.75, abs=0.01)}
    empty = (kernel_in(conversion, 10, 512).reshape(-1, 4) == 0).all(axis=1)  # four inputs of one
    assert empty.mean() == pytest.approx(0.75, abs=0.02)


@pytest.mark.parametrize("name", ["keras3.keras", "nested.h5"])
def test_every_model_that_can_be_trained_can_be_pruned(
    pruned: Callable[..., Any], zoo: Path, name: str
) -> None:
    conversion = pruned("epochs = 1\nsparsity = 0.5", model=zoo / name)
    assert conversion.cost.sparsity == pytest.approx(0.5, abs=0.03)


def test_16_distinct_weights_a_channel_are_in_the_file(
    digits_request: ConversionRequest, digits_ptq: Conversion, tmp_path: Path
) -> None:
    conversion = convert(replace(digits_request, recipe="cluster16_qat_w8a8", out=tmp_path / "out"))
    assert conversion.cost.distinct_per_channel == 16
    assert digits_ptq.cost.distinct_per_channel > 100
    found = conversion.step_records[0].found["distinct_weights"]
    assert found == dict.fromkeys(found, 16)
    assert conversion.cost.compressed_bytes < 0.9 * digits_ptq.cost.compressed_bytes
    assert conversion.accuracy.fraction > conversion.float_accuracy.fraction - 0.02
    assert any("its latency does not change" in warning for warning in conversion.warnings)


def test_a_graph_without_layers_is_not_pruned(pruned: Callable[..., Any], zoo: Path) -> None:
    with pytest.raises(ConversionError, match="the step sparse trains") as caught:
        pruned("epochs = 1", model=zoo / "keras3_export")
    assert "ptq_w8a8" in caught.value.hint
