from __future__ import annotations

from pathlib import Path

import pytest

from converters.recipe.number_steps import PtqW8A8
from converters.recipe.recipe import (
    RecipeError,
    load_recipe,
    names_of_built_ins,
    parse_recipe,
    recipe_names,
)
from converters.recipe.step_kinds import STEP_KINDS, QatW8A8


@pytest.mark.parametrize("name", names_of_built_ins())
def test_a_built_in_name_decodes_to_its_steps(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.summary


def test_the_built_in_recipes_are_there() -> None:
    assert {
        *("float32", "ptq_w8a8", "ptq_w8a16", "ptq_f16", "ptq_dynamic", "qat_w8a8"),
        *("sparse80_qat_w8a8", "cluster16_qat_w8a8", "ptq_weight_only", "mixed_w8a8"),
    } <= set(names_of_built_ins())


def test_every_kind_of_step_is_registered_under_its_name() -> None:
    assert all(kind == step.kind for kind, step in STEP_KINDS.items())


STEPS = {
    'kind = "sparse"': "sparse80",
    'kind = "sparse"\nsparsity = 0.65': "sparse65",
    'kind = "sparse"\nsparsity = 0.5\npattern = "1x4"': "sparse50b1x4",
    'kind = "sparse"\nsparsity = 0.5\npattern = "2:4"\nschedule = "constant"': "sparse2of4",
    'kind = "cluster"\nclusters = 8': "cluster8",
}


@pytest.mark.parametrize(("step", "name"), STEPS.items())
def test_a_name_tells_what_a_step_was_told(tmp_path: Path, step: str, name: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'schema = 1\n[[step]]\n{step}\n[[step]]\nkind = "ptq_f16"\n')
    assert load_recipe(str(path)).name == f"{name}_ptq_f16"


ORDERS = {
    ("qat_w8a8", "sparse"): "step 2 (sparse) cannot follow qat_w8a8: nothing can follow quanti",
    ("ptq_w8a8", "cluster"): "step 2 (cluster) cannot follow ptq_w8a8: nothing can follow quanti",
    ("ptq_f16", "ptq_w8a8"): "the weights are quantized by then, and are quantized once",
    ("qat_w8a8", "qat_w8a8"): "the weights are quantized by then, and are quantized once",
    ("sparse", "cluster"): "the second would not keep what the first made",
}


@pytest.mark.parametrize(("kinds", "reason"), ORDERS.items())
def test_an_impossible_order_is_refused_with_the_reason(
    tmp_path: Path, kinds: tuple[str, str], reason: str
) -> None:
    path = tmp_path / "mine.toml"
    steps = "".join(f'[[step]]\nkind = "{kind}"\n' for kind in kinds)
    path.write_text("schema = 1\n" + steps)
    with pytest.raises(RecipeError) as caught:
        load_recipe(str(path))
    assert reason in str(caught.value)
    assert caught.value.exit_code == 3
    assert caught.value.hint


def test_all_and_a_list_with_commas_name_recipes() -> None:
    assert recipe_names("all") == names_of_built_ins()
    assert recipe_names("float32, mine.toml") == ("float32", "mine.toml")


def test_a_file_of_ones_own_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('schema = 1\n[[step]]\nkind = "qat_w8a8"\nepochs = 7\nlearning_rate = 1\n')
    recipe = load_recipe(str(path))
    assert recipe.steps == (QatW8A8(epochs=7, learning_rate=1.0),)
    assert recipe.name == "qat_w8a8"


def test_plain_steps_hold_every_value() -> None:
    assert load_recipe("ptq_w8a8").plain_steps() == (
        {
            "kind": "ptq_w8a8",
            "calibration_samples": PtqW8A8().calibration_samples,
            "io": "int8",
            "calibration": "minmax",
            "percentile": 99.99,
            "equalize": "never",
            "bias_correction": "never",
            "keep_float": (),
            "keep_int16": (),
        },
    )


REFUSED = {
    "schema = 2": "schema is 2",
    "schema = 1\nsummary = 3": "summary is 3",
    "schema = 1\ncolour = 3": "field 'colour' is unknown",
    "schema = 1\nstep = 3": "step must be a list",
    'schema = 1\n[[step]]\nkind = "magic"': "step 1: kind is 'magic'",
    "schema = 1\n[[step]]\nepochs = 3": "step 1: kind is None",
    'schema = 1\n[[step]]\nkind = "qat_w8a8"\nepoch = 3': "field 'epoch' is unknown",
    'schema = 1\n[[step]]\nkind = "qat_w8a8"\nepochs = 0': "epochs is 0, expected a whole number",
    'schema = 1\n[[step]]\nkind = "qat_w8a8"\nepochs = 1.5': "epochs is 1.5",
    'schema = 1\n[[step]]\nkind = "qat_w8a8"\nepochs = true': "epochs is True",
    'schema = 1\n[[step]]\nkind = "qat_w8a8"\nlearning_rate = "fast"': "learning_rate is 'fast'",
    'schema = 1\n[[step]]\nkind = "qat_w8a8"\nlearning_rate = nan': "learning_rate is nan",
    'schema = 1\n[[step]]\nkind = "qat_w8a8"\n[[step]]\nkind = "ptq_w8a8"': "quantized once",
    'schema = 1\n[[step]]\nkind = "ptq_w8a8"\nio = "int4"': "io is 'int4'",
    'schema = 1\n[[step]]\nkind = "ptq_w8a8"\nio = 8': "io is 8",
    'schema = 1\n[[step]]\nkind = "ptq_f16"\nio = "int8"': "field 'io' is unknown",
    'schema = 1\n[[step]]\nkind = "sparse"\npattern = "2:4"': "makes half of the weights zero",
    'schema = 1\n[[step]]\nkind = "sparse"\nsparsity = 0.5\npattern = "2:4"': "cannot grow",
    'schema = 1\n[[step]]\nkind = "sparse"\nsparsity = 1': "sparsity is 1, expected a number",
    "schema = ": "not valid TOML",
    'schema = 1\n[[step]]\nkind = "qat_w8a8"\nepochs = 1\nepochs = 2': '"epochs" already exists',
    "schema = 1\nschema = 1": "not valid TOML",
    "schema = 1\n[task]\n[task]": "not valid TOML",
    "schema = 1\n[task]\na.b = 1\na = 2": "not valid TOML",
    "schema = 1\nstep = 1\n[[step]]\n": "not valid TOML",
    "schema = 1\n[step]\n[[step]]\n": "not valid TOML",
    "schema = 1\n[[step]]\n[step]\n": "not valid TOML",
    "schema = 1\ntask = {a = 1, a = 2}": "not valid TOML",
    "schema = 1\ntask = {a = 1}\n[task.b]\n": "not valid TOML",
    "schema = 1\nsummary = 'a\\u0000'\nsummary.b = 1": "not valid TOML",
}


@pytest.mark.parametrize(("text", "message"), REFUSED.items())
def test_a_wrong_recipe_names_the_field(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(str(path))
    assert caught.value.exit_code == 3
    assert caught.value.hint
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["ptq_w9a9", "no/such/recipe", "absent.toml"])
def test_an_unknown_recipe_is_named(name: str) -> None:
    with pytest.raises(RecipeError, match=name):
        load_recipe(name)


def test_no_steps_is_the_float_model() -> None:
    assert parse_recipe({"schema": 1}, "here").name == "float32"
