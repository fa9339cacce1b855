"""Pages that are made of the code and of files above docs/, so that they cannot disagree."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, fields
from functools import partial
from pathlib import Path
from typing import Any

from converters.recipe.recipe import IMPOSSIBLE_ORDERS, load_recipe, names_of_built_ins
from converters.recipe.step_kinds import STEP_KINDS
from targets.execution import Execution
from targets.inventory import Target
from toolkit.judge.gates import GATES
from toolkit.report.exit_code import GRAVEST_FIRST

#: Folder of these pages in docs/; git ignores it.
GENERATED = "generated"

_ROOT = Path(__file__).parents[1]
#: Files above docs/ to the names of their pages.
_FILES_ABOVE = {
    "ARCHITECTURE.md": "architecture",
    "CONTRIBUTING.md": "contributing",
    "CHANGELOG.md": "changelog",
    "README.md": "readme",
    "benchmarks/results/compression.md": "compression",
    **{
        f"examples/{path.parent.name}/README.md": f"example_{path.parent.name}"
        for path in sorted(_ROOT.glob("examples/*/README.md"))
    },
}
#: Fields of a target that are no keys of its entry in kedge.toml.
_NO_KEYS = ("name", "execution")


def recipes_page() -> str:
    """Return the built-in recipes, the steps that a recipe may have, and the fields of each."""
    parts = [
        "# Recipes and their steps\n",
        "A recipe is a TOML file with a list of steps. "
        "[The guide](../convert.md#a-recipe-of-your-own) says how to write one.\n",
        "## Built-in recipes\n",
        _table(
            ("name", "what it does", "steps"),
            ((f"`{name}`", _summary(name), _steps(name)) for name in names_of_built_ins()),
        ),
        "## Order of steps\n",
        _table(
            ("a step of this kind", "cannot be followed by", "because"),
            ((first, then, reason) for (first, then), reason in IMPOSSIBLE_ORDERS.items()),
        ),
        "`shape` changes which layers and channels there are, `training` the weights by learning, "
        "`weights` their pattern, and `numbers` their bits.\n",
        "## Steps\n",
    ]
    for kind, step in STEP_KINDS.items():
        phase = f"Its kind is `{step.phase}`."
        parts += [f"### {kind}\n", f"{_first_line(step)} {phase}\n"]
        rows = [
            (f"`{item.name}`", _default(item), _range(item), _descriptions(step)[item.name])
            for item in fields(step)
        ]
        parts.append(
            _table(("field", "default", "values", "meaning"), rows)
            if rows
            else "It has no fields.\n"
        )
    return "\n".join(parts)


def gates_page() -> str:
    """Return the gates of a rollout and their limits."""
    rows = (
        (
            f"`{name}`",
            gate.limit,
            f"{gate.least:g} to {gate.most:g}",
            "the lower" if gate.lower_is_stricter else "the higher",
        )
        for name, gate in GATES.items()
    )
    return (
        "# Gates\n\nA gate is a limit on what was seen on a board. It says pass, fail or "
        "inconclusive. [The policy](../fleet_policy.md#gates) says which gates a rollout has.\n\n"
        + _table(("gate", "limit", "values", "stricter limit"), rows)
    )


def exit_codes_page() -> str:
    """Return the exit codes, from the table of the README."""
    rows = re.findall(
        r"^\| (\d+) \| (.+) \|$", (_ROOT / "README.md").read_text(encoding="utf-8"), re.M
    )
    return (
        "# Exit codes\n\nA script decides by the exit code, never by the words of a message. "
        "[Troubleshooting](../troubleshooting.md) has the causes and what to do.\n\n"
        + _table(("code", "meaning"), rows)
        + "\nOver many boards the exit code is the first of these that occurs: "
        + ", ".join(map(str, GRAVEST_FIRST))
        + ".\n"
    )


def kedge_toml_page() -> str:
    """Return the keys of a target in kedge.toml."""
    rows = [
        (f"`{item.name}`", _default(item), _descriptions(owner)[item.name])
        for owner in (Target, Execution)
        for item in fields(owner)
        if item.name not in _NO_KEYS
    ]
    return (
        "# kedge.toml\n\nOne file for each project. It has a table `[targets.NAME]` for each "
        "board; `kedge target add` and `kedge target set` write it, and keep your comments. "
        "[How boards are reached](../targets.md) explains the keys, and [Runtimes](../runtimes.md) "
        "those about how a model runs. A table `[track]` with `to` names a "
        "[tracker](../tracking.md).\n\n" + _table(("key", "default", "meaning"), rows)
    )


def _summary(name: str) -> str:
    return load_recipe(name).summary


def _steps(name: str) -> str:
    return ", ".join(f"[{step.kind}](#{step.kind})" for step in load_recipe(name).steps) or "none"


def _first_line(owner: type) -> str:
    return (inspect.getdoc(owner) or "").split("\n\n")[0].replace("\n", " ")


def _default(item: Field[Any]) -> str:
    if item.default is not MISSING:
        value = item.default
    elif item.default_factory is not MISSING:
        value = item.default_factory()
    else:
        return "required"
    if value is None or value in ("", (), {}):
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _range(item: Field[Any]) -> str:
    about = item.metadata
    if "choices" in about:
        return ", ".join(f"`{word}`" for word in about["choices"])
    if "low" in about:
        automatic = ", or `auto`" if "auto" in about else ""
        return f"{about['low']:,} to {about['high']:,}{automatic}"
    if "paths" in about:
        return "files"
    return "names" if "names" in about else "true, false" if isinstance(item.default, bool) else ""


def _descriptions(owner: type) -> dict[str, str]:
    """Return the text under each field of a dataclass, also of those that it inherits."""
    texts: dict[str, str] = {}
    for part in reversed(owner.__mro__[:-1]):
        (tree,) = ast.parse(inspect.getsource(part)).body
        assert isinstance(tree, ast.ClassDef)
        for field, text in zip(tree.body, [*tree.body[1:], None], strict=True):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                is_text = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
                texts[field.target.id] = inspect.cleandoc(text.value.value) if is_text else ""
    return texts


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = tuple(head)
    lines = [head, ("---",) * len(head), *rows]
    return "".join(
        "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in line) + " |\n"
        for line in lines
    )


def link_to_site(text: str, before: str, after: str) -> str:
    """Return a page whose links to files above docs/ lead to their pages.

    Args:
        text: Page in Markdown.
        before: Path from the page to the files.
        after: Path from the page to their pages.
    """
    for name, page in _FILES_ABOVE.items():
        text = text.replace(f"]({before}{name}", f"]({after}{page}.md")
    return text


def _page_of_file(name: str) -> str:
    text = (_ROOT / name).read_text(encoding="utf-8")
    return link_to_site(text.replace("](docs/", "](../"), "", "")


#: Name of a page below `generated/` to the function that writes it.
PAGES: dict[str, Callable[[], str]] = {
    "recipes": recipes_page,
    "gates": gates_page,
    "exit_codes": exit_codes_page,
    "kedge_toml": kedge_toml_page,
    **{page: partial(_page_of_file, name) for name, page in _FILES_ABOVE.items()},
}
