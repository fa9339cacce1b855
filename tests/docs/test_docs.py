"""The documents tell what the program does."""

import re
from dataclasses import fields
from pathlib import Path

import click
import pytest

import toolkit
from converters.recipe.step_kinds import STEP_KINDS
from device_agent.contract.model_card import ImageInput, Output
from tests.toolkit.cli.test_cli import MOST_OPTIONS
from toolkit.cli.main import COMMANDS, kedge

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md",
             *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
             *(f"examples/{path.parent.name}/README.md"
               for path in sorted((ROOT / "examples").glob("*/README.md")))]  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_readme(name: str) -> None:
    assert re.search(rf"(kedge|make) {name}\b", README)


@pytest.mark.parametrize("path", sorted((ROOT / "converters" / "recipes").glob("*.toml")))
def test_every_recipe_is_in_the_readme_and_in_the_help(path: Path) -> None:
    assert f"`{path.stem}`" in README
    context = click.Context(kedge, info_name="kedge")
    convert = kedge.get_command(context, "convert")
    assert convert is not None
    (told,) = (option.help for option in convert.params if option.name == "recipe")
    assert re.search(rf"\b{path.stem}\b", told)


@pytest.mark.parametrize("kind", STEP_KINDS)
def test_every_step_of_a_recipe_and_its_fields_are_documented(kind: str) -> None:
    text = (ROOT / "docs" / "convert.md").read_text(encoding="utf-8")
    for name in (kind, *(field.name for field in fields(STEP_KINDS[kind]))):
        assert f"`{name}`" in text, name


@pytest.mark.parametrize("table", [ImageInput, Output])
def test_every_key_of_model_toml_is_documented(table: type) -> None:
    text = (ROOT / "docs" / "run.md").read_text(encoding="utf-8")
    for field in fields(table):
        assert f"`{field.name}`" in text, field.name


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_and_code_names_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (ROOT / document).parent.joinpath(link).exists(), link
    for name in re.findall(r"`((?:toolkit|converters|targets|device_agent|tests)/[\w./]+)`", text):
        assert (ROOT / name).exists(), name


def test_the_map_is_short_and_has_every_room() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 120
    for package in ("converters", "targets", "device_agent", "toolkit"):
        _, _, part = text.partition(f"`{package}/`")
        for room in sorted((ROOT / package).glob("*/__init__.py")):
            assert f"`{room.parent.name}/`" in part, room.parent


def test_every_option_of_every_example_exists() -> None:
    texts = [(ROOT / document).read_text(encoding="utf-8") for document in DOCUMENTS]
    examples = [line.split("#")[0].split() for text in texts for line in text.splitlines()
                if line.startswith("    kedge ")]  # fmt: skip
    assert len(examples) > 5
    for words in examples:
        command = _command(words[1:])
        known = {option for parameter in command.params for option in parameter.opts}
        used = {word.split("=")[0] for word in words if word.startswith("--")}
        assert used <= known, words


def _command(words: list[str]) -> click.Command:
    context = click.Context(kedge)
    command = kedge.get_command(context, words[0])
    assert command is not None, words
    if isinstance(command, click.Group):
        # `kedge search` is a command itself.
        part = command.get_command(context, words[1])
        command = part if part or not command.callback else command
    assert command is not None, words
    return command


@pytest.mark.parametrize("text", [README, toolkit.__doc__ or ""], ids=["README.md", "toolkit"])
def test_every_name_of_the_python_example_exists(text: str) -> None:
    names = re.findall(r"\btoolkit\.([\w.]+)\(", text)
    assert names
    assert set(names) <= set(toolkit.__all__)


def test_no_command_has_too_many_options() -> None:
    context = click.Context(kedge)
    for name in COMMANDS:
        command = kedge.get_command(context, name)
        assert command is not None
        options = [item for item in command.params if isinstance(item, click.Option)]
        # A hidden one is another way to say what kedge.toml or another option says.
        visible = [option for option in options if not option.hidden]
        assert len(visible) <= MOST_OPTIONS.get(name, 12), name


def test_exit_codes_of_the_readme_are_those_of_the_errors() -> None:
    from converters.errors import ConversionError
    from device_agent.contract.codes import IntegrityError
    from targets.agent_client import AgentError
    from targets.errors import TargetError
    from toolkit.errors import ToolkitError

    rows = dict(re.findall(r"^\| (\d+) \| (.+) \|$", README, re.MULTILINE))
    told = {3: "recipe", 4: "model", 5: "digest", 6: "board", 7: "answered no"}
    errors = {
        ToolkitError: 3, ConversionError: 4, IntegrityError: 5, TargetError: 6, AgentError: 7
    }  # fmt: skip
    for error, code in errors.items():
        assert error.exit_code == code
        assert told[code] in rows[str(code)]
