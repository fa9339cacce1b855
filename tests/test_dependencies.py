"""What kedge needs is declared, with bounds and a reason, and pinned by hashes for `make env`."""

import ast
import re
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
OURS = {"toolkit", "targets", "converters", "device_agent"}
#: Modules that come with a declared package, or that a board brings, and that no package of ours
#: has to install.
OTHERS = {
    "cryptography",  # of paramiko
    "tensorboard",  # its extra; looked for, not needed
    "tflite_runtime",  # on boards
}
_PIN = re.compile(
    r"^([A-Za-z0-9_.-]+)==([^ ;\\]+)(?: ; ([^\\]+?))? \\\n((?:    --hash=.*\n)+)", re.M
)


def sections() -> dict[str, list[tuple[str, str]]]:
    """Name of an extra, or "" for what is always needed, to pairs of a comment and a line."""
    parser = ConfigParser(interpolation=None, comment_prefixes=(), allow_no_value=True)
    parser.read_string((ROOT / "setup.cfg").read_text())
    extras = dict(parser["options.extras_require"])
    texts = {"": parser["options"]["install_requires"]}
    texts |= {name: text for name, text in extras.items() if text and not name.startswith("#")}
    return {name: list(lines_of(text)) for name, text in texts.items()}


def lines_of(text: str) -> Iterator[tuple[str, str]]:
    comment = ""
    for line in text.strip().splitlines():
        if line.strip().startswith("#"):
            comment += line
        elif not line.strip().startswith("%("):
            yield comment, line.strip()
            comment = ""


REQUIREMENTS = [Requirement(line) for lines in sections().values() for _, line in lines]
PIN_FILES = [ROOT / ".ci" / name for name in ("constraints.txt", "torch.txt", "torch_cpu.txt")]
PINS = {
    (canonicalize_name(name), version)
    for path in PIN_FILES
    for name, version, *_ in _PIN.findall(path.read_text())
}


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_a_requirement_has_a_bound_and_is_pinned_within_it(requirement: Requirement) -> None:
    operators = {specifier.operator for specifier in requirement.specifier}
    assert operators & {">=", "==", "<"}, f"{requirement} has no bound"
    versions = [version for name, version in PINS if name == canonicalize_name(requirement.name)]
    assert any(map(requirement.specifier.contains, versions)), (
        f"{requirement}, and the files of .ci have {versions}: run make lock"
    )


def test_every_pin_has_hashes() -> None:
    text = "".join(path.read_text() for path in PIN_FILES)
    pins = re.findall(r"^\S+==", text, re.M)
    assert len(pins) == len(_PIN.findall(text)) > 50


def imports() -> Iterator[tuple[Path, str]]:
    for package in OURS:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    yield from ((path, alias.name) for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    yield path, node.module


def test_every_package_that_is_imported_is_declared() -> None:
    declared = {canonicalize_name(requirement.name) for requirement in REQUIREMENTS}
    distributions = packages_distributions()
    known = OURS | OTHERS | set(sys.stdlib_module_names)
    unknown = {}
    for path, module in imports():
        top = module.partition(".")[0]
        names = {canonicalize_name(name) for name in distributions.get(top, [top])}
        if top not in known and not names & declared:
            unknown[top] = path.relative_to(ROOT)
    assert not unknown
