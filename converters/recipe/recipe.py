"""A recipe: an ordered list of compression steps, as data.

A recipe's name is never written in its file: it is what its steps are called, joined, so that
`qat_w8a8` always means the same. Emitting the .tflite follows every recipe, so the empty recipe is
the plain float model.
"""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from converters.data.task import TaskWish, parse_task
from converters.errors import ConversionError
from converters.recipe.step import AUTO, NUMBERS, SHAPE, TRAINING, WEIGHTS, Step
from converters.recipe.step_kinds import STEP_KINDS
from converters.sources.kinds import SOURCES

SCHEMA = 1
RECIPES_FOLDER = Path(__file__).parents[1] / "recipes"
FLOAT_NAME = "float32"
ALL = "all"
#: The recipe that takes every model and needs no training; for hints.
SAFE_NAME = "ptq_w8a8"

#: Phases (earlier, later) of two steps that cannot follow each other, to the reason.
IMPOSSIBLE_ORDERS: dict[tuple[str, str], str] = {
    (NUMBERS, NUMBERS): "the weights are quantized by then, and are quantized once",
    (NUMBERS, SHAPE): "nothing can follow quantization: its ranges hold for the layers as they are",
    (NUMBERS, WEIGHTS): "nothing can follow quantization: its ranges hold for the weights as they "
    "are",
    (NUMBERS, TRAINING): "nothing can follow quantization: training would undo it",
    (WEIGHTS, SHAPE): "the training that removing channels needs would fill the zeros, or part the "
    "shared weights, again",
    (WEIGHTS, TRAINING): "it would fill the zeros, or part the shared weights, again",
    (WEIGHTS, WEIGHTS): "the second would not keep what the first made",
}


class RecipeError(ConversionError):
    """The recipe is unknown, or a field of it is: nothing was started."""

    exit_code = 3


@dataclass(frozen=True)
class Recipe:
    """Steps in the order in which they are done."""

    steps: tuple[Step, ...]
    """The steps; without any the float model is written as it is."""
    summary: str
    """One sentence for a list of recipes."""
    wish: TaskWish = TaskWish()  # noqa: RUF009 - frozen
    """Fields of the recipe about the model's task."""

    @property
    def name(self) -> str:
        """Name that decodes to the steps."""
        return "_".join(step.label for step in self.steps) or FLOAT_NAME

    def label(self, file_name: str) -> str:
        """Return its name for a person, with its steps where it is from the user's file.

        Args:
            file_name: Name of the user's file without its suffix; "" for a built-in recipe.
        """
        return f"{file_name} ({self.name})" if file_name else self.name

    @property
    def asks_latency(self) -> bool:
        """Whether a step of it goes by latency."""
        return any(step.asks_latency for step in self.steps)

    def plain_steps(self) -> tuple[dict[str, Any], ...]:
        """Return the steps with every value, defaults included, as plain data."""
        return tuple({"kind": step.kind, **asdict(step)} for step in self.steps)


def names_of_built_ins() -> tuple[str, ...]:
    """Return the names that `load_recipe` knows without a file."""
    return tuple(sorted(path.stem for path in RECIPES_FOLDER.glob("*.toml")))


def load_recipe(name: str) -> Recipe:
    """Read a built-in recipe by its name, or a user's by the path of its TOML file.

    Raises:
        RecipeError: No such recipe, no TOML, or a field that is unknown or out of its range.
    """
    return _read(recipe_path(name))


def recipe_path(name: str) -> Path:
    """Return the file of a recipe: a built-in one by its name, or the user's own path.

    Raises:
        RecipeError: The text is neither the name of a built-in recipe nor a path.
    """
    if name in names_of_built_ins():
        return RECIPES_FOLDER / f"{name}.toml"
    path = Path(name)
    if path.suffix != ".toml" and path.name == name:
        raise RecipeError(f"recipe {name!r} is unknown", _hint_for(name))
    return path


def _hint_for(name: str) -> str:
    """Name the recipes that are meant most likely."""
    words, names = name.lower().replace("-", "_"), names_of_built_ins()
    parts = [built_in for built_in in names if words and words in built_in]
    if "int8" in words or words == "quantized":
        parts = [SAFE_NAME, "qat_w8a8"]
    nearest = sorted(parts, key=len)[:3] or difflib.get_close_matches(words, names, n=3)
    if not nearest:
        return "List the recipes: kedge recipes. Your own is given as the path of a .toml file."
    return f"Did you mean {' or '.join(nearest)}? List all recipes: kedge recipes"


def recipe_names(text: str) -> tuple[str, ...]:
    """Return the recipes that a user requests.

    Args:
        text: One name or path, several with commas between them, or "all" for every built-in one.
    """
    if text == ALL:
        return names_of_built_ins()
    return tuple(name.strip() for name in text.split(","))


def check_pairing(recipe: Recipe, path: Path, kind: str) -> None:
    """Refuse a recipe that this kind of model cannot go through.

    Args:
        recipe: The recipe.
        path: The model, for messages.
        kind: Kind of the model, a key of `SOURCES`.

    Raises:
        ConversionError: The recipe trains, and models of this kind cannot be trained.
    """
    training = next((step for step in recipe.steps if step.trains), None)
    if training is not None and not SOURCES[kind].may_train:
        raise ConversionError(
            f"{path}: is {SOURCES[kind].untrainable}; the step {training.kind} trains",
            "Give the model as a .keras or .h5 file, or the .tflite that --recipe float32 writes, "
            f"or use --recipe {SAFE_NAME}",
        )


def _read(path: Path) -> Recipe:
    if path.exists() and not path.is_file():  # a pipe would be waited for without end
        raise RecipeError(f"{path}: is no regular file", "Save the recipe to a file.")
    try:
        plain = tomlkit.parse(path.read_text(encoding="utf-8")).unwrap()
    except FileNotFoundError as error:
        raise RecipeError(f"{path}: recipe not found", "Check the path.") from error
    except (OSError, UnicodeDecodeError, TOMLKitError) as error:
        raise RecipeError(f"{path}: not valid TOML: {error}", "Correct the file.") from error
    return parse_recipe(plain, str(path))


def parse_recipe(plain: dict[str, Any], origin: str) -> Recipe:
    """Check a recipe that was read.

    Args:
        plain: `schema`, `summary`, the table `task` and the list `step`, as in TOML.
        origin: Path of the recipe, for messages.

    Raises:
        RecipeError: A field is unknown, missing, of the wrong type, or out of its range.
    """
    _refuse_unknown(plain, ("schema", "summary", "task", "step"), origin)
    if plain.get("schema") != SCHEMA:
        raise RecipeError(
            f"{origin}: schema is {plain.get('schema')!r}, this kedge reads {SCHEMA}",
            f"Write `schema = {SCHEMA}`, or update kedge.",
        )
    summary = plain.get("summary", "")
    if not isinstance(summary, str):
        raise RecipeError(f"{origin}: summary is {summary!r}, expected text", "Correct the file.")
    tables = plain.get("step", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise RecipeError(f"{origin}: step must be a list of tables", "Write `[[step]]`")
    folder = Path(origin).parent
    steps = tuple(
        _parse_step(t, f"{origin}: step {n}", folder) for n, t in enumerate(tables, start=1)
    )
    _check_order(steps, origin)
    wish = parse_task(plain.get("task", {}), origin, Path(origin).parent)
    return Recipe(steps, summary, wish)


def _parse_step(table: dict[str, Any], origin: str, folder: Path) -> Step:
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in STEP_KINDS:
        raise RecipeError(
            f"{origin}: kind is {kind!r}, which is not a step",
            f"Use one of {', '.join(STEP_KINDS)}",
        )
    step_class, where = STEP_KINDS[kind], f"{origin} ({kind})"
    _refuse_unknown(table, ("kind", *(spec.name for spec in fields(step_class))), where)
    plain = {name: value for name, value in table.items() if name != "kind"}
    step = step_class(**_values(plain, step_class, where, folder))
    problem, hint = step.misfit()
    if problem:
        raise RecipeError(f"{where}: {problem}", hint)
    return step


def _values(table: dict[str, Any], kind: type[Any], origin: str, folder: Path) -> dict[str, Any]:
    """Check the fields of a table, those of a dataclass."""
    specs = {f.name: f for f in fields(kind)}
    _refuse_unknown(table, tuple(specs), origin)
    return {
        name: _value(table[name], spec, f"{origin}: {name}", folder)
        for name, spec in specs.items()
        if name in table
    }


def _value(value: Any, spec: Any, origin: str, folder: Path) -> Any:
    if "tables" in spec.metadata:
        return _tables(value, spec.metadata["tables"], origin, folder)
    if "paths" in spec.metadata:
        return _paths(value, origin, folder)
    return _names(value, origin) if "names" in spec.metadata else _check_value(value, spec, origin)


def _tables(value: Any, kind: type[Any], origin: str, folder: Path) -> tuple[Any, ...]:
    if not isinstance(value, list) or not all(isinstance(table, dict) for table in value):
        names = ", ".join(spec.name for spec in fields(kind))
        raise RecipeError(
            f"{origin} is {value!r:.200}, expected a list of tables", f"Their fields are {names}."
        )
    return tuple(
        kind(**_values(table, kind, f"{origin}, number {number}", folder))
        for number, table in enumerate(value, start=1)
    )


def _paths(value: Any, origin: str, folder: Path) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(path, str) for path in value):
        raise RecipeError(f"{origin} is {value!r}, expected a list of files", 'Such as ["a.h5"]')
    files = [(folder / path).absolute() for path in value]
    missing = [path for path in files if not path.exists()]
    if missing:
        raise RecipeError(
            f"{origin}: {missing[0]} not found", "Paths start from the recipe's folder."
        )
    return tuple(map(str, files))


def _names(value: Any, origin: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        raise RecipeError(f"{origin} is {value!r}, expected a list of names", 'Such as ["add_1"]')
    twice = [name for name in value if value.count(name) > 1]
    if twice:
        raise RecipeError(f"{origin} names {twice[0]!r} twice", "Name it once.")
    return tuple(map(str, value))


def _check_value(value: Any, spec: Any, origin: str) -> int | float | str:
    if "choices" in spec.metadata:
        choices = spec.metadata["choices"]
        if value not in choices:
            raise RecipeError(f"{origin} is {value!r}", f"Use one of {', '.join(choices)}")
        return str(value)
    if "auto" in spec.metadata and value == AUTO:
        return AUTO
    kind = spec.metadata.get("auto", type(spec.default))
    # TOML's 1 is a fine learning rate, true is not, although Python calls it an integer.
    right = isinstance(value, (int, kind)) and not isinstance(value, bool)
    low, high = spec.metadata["low"], spec.metadata["high"]
    if not right or not low <= value <= high:
        raise RecipeError(
            f"{origin} is {value!r}, expected {'a whole number' if kind is int else 'a number'} "
            f"from {low:g} to {high:g}" + (f' or "{AUTO}"' if "auto" in spec.metadata else ""),
            "Correct the recipe.",
        )
    number: int | float = kind(value)
    return number


def _refuse_unknown(plain: dict[str, Any], names: tuple[str, ...], origin: str) -> None:
    unknown = [name for name in plain if name not in names]
    if unknown:
        raise RecipeError(
            f"{origin}: field {unknown[0]!r} is unknown", f"The fields are {', '.join(names)}"
        )


def _check_order(steps: tuple[Step, ...], origin: str) -> None:
    for position, step in enumerate(steps):
        for earlier in steps[:position]:
            reason = IMPOSSIBLE_ORDERS.get((earlier.phase, step.phase))
            if reason is not None:
                raise RecipeError(
                    f"{origin}: step {position + 1} ({step.kind}) cannot follow {earlier.kind}: "
                    f"{reason}",
                    _order_hint(earlier, step),
                )


def _order_hint(earlier: Step, later: Step) -> str:
    if earlier.phase == later.phase:
        return "Keep one of the two."
    return f"Put {later.kind} before {earlier.kind}."
