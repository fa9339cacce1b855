from __future__ import annotations

import pytest

from converters.recipe import (
    Ptq,
    Qat,
    RecipeError,
    built_in_names,
    load_recipe,
    parse_recipe,
)


@pytest.mark.parametrize("name", built_in_names())
def test_a_built_in_name_decodes_to_its_steps(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.summary


def test_the_three_built_in_recipes_are_there():
    assert {"float32", "ptq_w8a8", "qat_w8a8"} <= set(built_in_names())


def test_a_file_of_ones_own_is_read(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('schema = 1\n[[step]]\nkind = "qat"\nepochs = 7\nlearning_rate = 1\n')
    recipe = load_recipe(str(path))
    assert recipe.steps == (Qat(epochs=7, learning_rate=1.0),)
    assert recipe.name == "qat_w8a8"


def test_plain_steps_hold_every_value():
    assert load_recipe("ptq_w8a8").plain_steps() == (
        {"kind": "ptq", "calibration_samples": Ptq().calibration_samples},
    )


REFUSED = {
    "schema = 2": "schema is 2",
    "schema = 1\nsummary = 3": "summary is 3",
    "schema = 1\ncolour = 3": "field 'colour' is unknown",
    "schema = 1\nstep = 3": "step must be a list",
    'schema = 1\n[[step]]\nkind = "magic"': "step 1: kind is 'magic'",
    "schema = 1\n[[step]]\nepochs = 3": "step 1: kind is None",
    'schema = 1\n[[step]]\nkind = "qat"\nepoch = 3': "field 'epoch' is unknown",
    'schema = 1\n[[step]]\nkind = "qat"\nepochs = 0': "epochs is 0, expected a whole number",
    'schema = 1\n[[step]]\nkind = "qat"\nepochs = 1.5': "epochs is 1.5",
    'schema = 1\n[[step]]\nkind = "qat"\nepochs = true': "epochs is True",
    'schema = 1\n[[step]]\nkind = "qat"\nlearning_rate = "fast"': "learning_rate is 'fast'",
    'schema = 1\n[[step]]\nkind = "qat"\nlearning_rate = nan': "learning_rate is nan",
    'schema = 1\n[[step]]\nkind = "qat"\n[[step]]\nkind = "ptq"': "nothing can follow",
    "schema = ": "no TOML",
}


@pytest.mark.parametrize(("text", "message"), REFUSED.items())
def test_a_wrong_recipe_names_the_field(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(str(path))
    assert caught.value.exit_code == 3
    assert caught.value.hint
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["ptq_w9a9", "no/such/recipe", "absent.toml"])
def test_an_unknown_recipe_is_named(name):
    with pytest.raises(RecipeError, match=name):
        load_recipe(name)


def test_no_steps_is_the_float_model():
    assert parse_recipe({"schema": 1}, "here").name == "float32"
