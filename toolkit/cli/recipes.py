"""`kedge recipes`."""

from __future__ import annotations

import click

from toolkit.cli import output
from toolkit.cli.completion import complete_recipes
from toolkit.cli.groups import CommandGroup
from toolkit.cli.options import as_json


@click.group("recipes", cls=CommandGroup, invoke_without_command=True)
@as_json
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List the built-in recipes, or show one as TOML.

    A recipe is a list of steps. To change one, write it to a file of your own, edit that, and give
    its path to `kedge convert --recipe`.

    \b
    kedge recipes
    kedge recipes show qat_w8a8 > my_recipe.toml
    kedge convert model.h5 --data data.npz --recipe my_recipe.toml
    """
    if context.invoked_subcommand is not None:
        if as_json:
            raise click.UsageError(f"write --json behind {context.invoked_subcommand}")
        return
    from converters.recipe.recipe import load_recipe, names_of_built_ins

    recipes = {name: load_recipe(name) for name in names_of_built_ins()}
    if as_json:
        plain = [
            {"name": name, "summary": recipe.summary, "steps": recipe.plain_steps()}
            for name, recipe in recipes.items()
        ]
        output.print_json({"schema": 1, "recipes": plain})
        return
    for name, recipe in recipes.items():
        output.say(f"{name}\n    {recipe.summary}")


@command.command("show")
@click.argument("name", shell_complete=complete_recipes)
@as_json
def show_recipe(name: str, as_json: bool) -> None:
    """Show a recipe as TOML: a built-in one by its name, or your own by its path.

    \b
    kedge recipes show ptq_w8a8
    """
    from converters.recipe.recipe import load_recipe, recipe_path

    recipe = load_recipe(name)
    if as_json:
        plain = {"name": recipe.name, "summary": recipe.summary, "steps": recipe.plain_steps()}
        output.print_json({"schema": 1, **plain})
    else:
        output.say(recipe_path(name).read_text(encoding="utf-8").rstrip("\n"))
