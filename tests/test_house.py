"""The rules of the house that no linter checks: sizes, names, words, and who imports what."""

import ast
import configparser
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house_words import findings, public_names

REPOSITORY = Path(__file__).parents[1]
PACKAGES = ("toolkit", "targets", "converters", "device_agent")
WRITTEN_HERE = (*PACKAGES, "tests", "benchmarks", ".ci")

LONGEST_MODULE = 400
LONGEST_FUNCTION = 60
EMPTY_NAMES = {"util", "utils", "helper", "helpers", "common", "misc", "manager", "base"}
# The small Python API: the only __init__ that hands on what others define.
RE_EXPORTS = {"toolkit/__init__.py"}
# The board's own packages, imported late, in the child process that runs the model.
RUNTIME_MODULE = "device_agent/runtimes/tflite.py"
RUNTIMES = {"numpy", "ai_edge_litert", "tflite_runtime"}
TENSORFLOW = {"tensorflow", "tf_keras", "keras", "tensorflow_model_optimization"}

# One public name, one meaning, but for parts that do the same in different places.
SAME_BY_DESIGN = {
    "Driver",  # the driver of each format in device_agent/runtimes
    "command",  # the command of each verb in toolkit/cli
    "main",  # the entry of each program
    "trust",  # the command, and the operation of the board that it calls
}


def modules(*folders: str) -> list[Path]:
    found = [path for name in folders for path in sorted((REPOSITORY / name).rglob("*.py"))]
    return [path for path in found if "__pycache__" not in path.parts]


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def imported(node: ast.AST) -> Iterator[str]:
    """The top-level packages that this tree imports, at its top or in a function."""
    for part in ast.walk(node):
        if isinstance(part, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in part.names)
        elif isinstance(part, ast.ImportFrom):
            assert part.level == 0, "imports are absolute"
            yield (part.module or "").partition(".")[0]


def listed_packages() -> set[str]:
    config = configparser.ConfigParser()
    config.read(REPOSITORY / "setup.cfg")
    return set(config["options"]["packages"].split())


@pytest.mark.parametrize("path", modules(*WRITTEN_HERE), ids=name_of)
def test_a_module_is_small(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= LONGEST_MODULE, f"{lines} lines: give one of its parts a module of its own"

    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= LONGEST_FUNCTION, f"{node.name} (line {node.lineno}): {length} lines"


@pytest.mark.parametrize("path", modules(*WRITTEN_HERE), ids=name_of)
def test_a_module_is_named_for_what_it_holds(path: Path) -> None:
    assert not EMPTY_NAMES & {*path.stem.split("_"), *path.parent.name.split("_")}


@pytest.mark.parametrize(
    "path",
    [p for p in modules(*PACKAGES) if p.name == "__init__.py" and name_of(p) not in RE_EXPORTS],
    ids=name_of,
)
def test_a_package_hands_nothing_on(path: Path) -> None:
    assert set(imported(parsed(path))) <= {"__future__"}


@pytest.mark.parametrize("path", modules("device_agent"), ids=name_of)
def test_the_agent_needs_the_standard_library_only(path: Path) -> None:
    tree = parsed(path)
    foreign = set(imported(tree)) - sys.stdlib_module_names - {"device_agent"}
    if name_of(path) != RUNTIME_MODULE:
        assert foreign == set()
        return

    assert foreign <= RUNTIMES
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    late = {
        part for node in ast.walk(tree) if isinstance(node, functions) for part in imported(node)
    }
    at_load = {
        name
        for node in tree.body
        if not isinstance(node, (*functions, ast.ClassDef))
        for name in imported(node)
    }
    assert foreign <= late
    assert not foreign & at_load


@pytest.mark.parametrize("path", modules("toolkit", "targets", "converters/tflite"), ids=name_of)
def test_tensorflow_stays_where_models_are_converted(path: Path) -> None:
    assert not TENSORFLOW & set(imported(parsed(path)))


def test_every_package_is_listed_and_is_there() -> None:
    folders = {path.parent for path in modules(*PACKAGES)}
    there = {name_of(folder).replace("/", ".") for folder in folders}

    assert listed_packages() == there


@pytest.mark.parametrize("package", sorted(listed_packages()))
def test_every_package_has_an_init(package: str) -> None:
    assert (REPOSITORY / package.replace(".", "/") / "__init__.py").is_file()


@pytest.mark.parametrize("package", sorted(listed_packages()))
def test_a_package_says_in_one_sentence_what_it_is_for(package: str) -> None:
    text = ast.get_docstring(parsed(REPOSITORY / package.replace(".", "/") / "__init__.py")) or ""
    sentence = text.split("\n\n")[0]

    assert re.fullmatch(r"[^\n]{20,100}\.", sentence), "one line, one sentence"
    assert not re.search(r"[.!?] [A-Z]", sentence), "one sentence"


@pytest.mark.parametrize("path", modules(*PACKAGES), ids=name_of)
def test_the_words_of_a_module_are_plain(path: Path) -> None:
    lines = [f"{name_of(path)}:{line}: {text}" for line, text in findings(path.read_text())]
    assert not lines, "\n".join(lines)


def test_a_public_name_has_one_meaning() -> None:
    places = defaultdict(list)
    for path in modules(*PACKAGES):
        for name in public_names(path.read_text()):
            places[name].append(name_of(path))
    several = {name: where for name, where in places.items() if len(where) > 1}

    unexpected = several.keys() - SAME_BY_DESIGN
    assert not unexpected, {name: several[name] for name in unexpected}


def test_the_tests_are_not_installed() -> None:
    assert not {"tests", "benchmarks"} & listed_packages()


@pytest.mark.parametrize("path", modules("tests"), ids=name_of)
def test_tests_name_each_other_in_full(path: Path) -> None:
    beside = {module.stem for module in path.parent.glob("*.py")}
    assert not beside & set(imported(parsed(path))), "import from tests.…"


@pytest.mark.parametrize("path", modules("tests"), ids=name_of)
def test_tests_are_annotated_and_import_each_other_in_full(path: Path) -> None:
    here = {other.stem for other in path.parent.glob("*.py")}
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef):
            assert node.returns is not None, f"{node.name} says no return type"
            bare = [a.arg for a in node.args.args if a.annotation is None and a.arg != "self"]
            assert not bare, f"{node.name}: {', '.join(bare)} without a type"
        if isinstance(node, ast.ImportFrom):
            assert node.module not in here, f"line {node.lineno}: write tests.….{node.module}"
