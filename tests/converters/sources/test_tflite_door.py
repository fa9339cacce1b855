"""A float .tflite through `kedge convert`: what it takes, and what it says where it cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from converters.tflite.reader import read_model
from tests.converters.conftest import run_program
from tests.kedge import kedge

PADDED, UNREAD, POOL = "max pool, padded by -inf", "cumulative sum", "max pool"
GROUPS = "group norm"
SHAPES = {PADDED: (8, 6, 4), UNREAD: (10, 6), GROUPS: (8, 6, 4)}
QAT = """
schema = 1
summary = "One epoch."

[[step]]
kind = "qat_w8a8"
epochs = 1
learning_rate = 1e-4
batch_size = 16
"""
SCRATCH = """
schema = 1
summary = "Random weights, one epoch."

[[step]]
kind = "scratch"

[[step]]
kind = "tune"
epochs = 1
learning_rate = 1e-3
batch_size = 16

[[step]]
kind = "ptq_w8a8"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of tflite_cases.py, samples of each, and a recipe."""
    folder = tmp_path_factory.mktemp("door")
    run_program("tflite_cases", folder, folder / "report.json", PADDED, UNREAD, POOL, GROUPS)
    random = np.random.default_rng(0)
    for name, shape in SHAPES.items():
        arrays = {
            part: random.normal(0, 1, (count, *shape)).astype(np.float32)
            for part, count in (("x_train", 80), ("x_test", 20))
        }
        np.savez(folder / f"{name}.npz", **arrays)
    (folder / "qat.toml").write_text(QAT)
    (folder / "scratch.toml").write_text(SCRATCH)
    return folder


def file_of(folder: Path, name: str) -> Path:
    return folder / f"{name.replace(' ', '_')}.tflite"


@pytest.mark.parametrize("recipe", ["ptq_w8a8", "qat.toml"])
def test_a_pad_of_minus_infinity_is_rounded_and_trained(folder: Path, recipe: str) -> None:
    assert "PADV2" in {op.name for op in read_model(file_of(folder, PADDED)).operators}
    out = folder / recipe
    ran = kedge(
        *("convert", str(file_of(folder, PADDED)), "--data", str(folder / f"{PADDED}.npz")),
        *("--recipe", recipe, "--out", f"out_{recipe}", "--json"),
        cwd=folder,
    )
    assert ran.code == 0, ran.err
    model = read_model(out.with_name(f"out_{recipe}") / "model.tflite")
    assert {op.name for op in model.operators} == {"CONV_2D", "MIRROR_PAD", "MAX_POOL_2D"}
    assert {spec.dtype for spec in (*model.inputs, *model.outputs)} == {"int8"}


def test_an_operator_without_a_rule_is_named_and_nothing_is_written(folder: Path) -> None:
    file, data = str(file_of(folder, UNREAD)), str(folder / f"{UNREAD}.npz")
    ran = kedge("convert", file, "--data", data, "--recipe", "qat.toml", "--out", "no", cwd=folder)
    assert ran.code == 4, ran.err
    assert "the operator CUMSUM of the tensor 'Cumsum" in ran.err
    assert "ptq_w8a8" in ran.err
    assert not (folder / "no").exists()
    options = ("--recipe", "ptq_w8a8", "--out", "yes")
    ran = kedge("convert", file, "--data", data, *options, cwd=folder)
    assert ran.code == 0, ran.err


def test_an_import_that_is_wrong_names_the_first_node_that_differs(folder: Path) -> None:
    text = run_program("broken_import", file_of(folder, PADDED))
    assert "the graph that kedge read from it gives other answers than the model" in text
    assert "the first node that differs is 'PartitionedCall'" in text
    assert "(average pool)" in text


def test_the_epsilon_of_a_normalization_is_no_weight_that_is_drawn_anew(folder: Path) -> None:
    """The file has the normalization as single operators; a negative number has no root."""
    ran = kedge(
        *("convert", str(file_of(folder, GROUPS)), "--data", str(folder / f"{GROUPS}.npz")),
        *("--recipe", "scratch.toml", "--out", "out_scratch"),
        cwd=folder,
    )
    assert ran.code == 0, ran.err
    assert "nan" not in (folder / "out_scratch" / "conversion.json").read_text().lower()
