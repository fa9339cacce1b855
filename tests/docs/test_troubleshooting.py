"""Every error has a section in the documentation, and says which."""

import ast
import re
from pathlib import Path

import pytest

from converters.errors import ConversionError
from device_agent.contract.codes import NO_SPACE, IntegrityError
from targets.agent_client import AgentError
from targets.board_disk import BoardDiskError
from targets.errors import TargetError
from tests.kedge import kedge
from toolkit.cli.help_section import CODES, PAGE, anchor_of_class, anchor_of_code, help_section
from toolkit.errors import ToolkitError

ROOT = Path(__file__).resolve().parents[2]
ROOTS = (ConversionError, TargetError, ToolkitError, IntegrityError)
#: The answer of a worker that has done its part ends with 0.
NO_ERRORS = {"WorkerDoneError"}
TEXT = (ROOT / PAGE).read_text(encoding="utf-8")


def error_classes() -> set[str]:
    """Names of all errors that a user may see; read, as importing all modules loads TensorFlow."""
    bases = {}
    for package in ("converters", "targets", "toolkit", "device_agent"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef):
                    bases[node.name] = {ast.unparse(base) for base in node.bases}
    names = {kind.__name__ for kind in ROOTS}
    while more := {name for name, parents in bases.items() if parents & names} - names:
        names |= more
    return names - NO_ERRORS


def anchors() -> list[str]:
    headings = re.findall(r"^### (.+)$", TEXT, re.M)
    return [heading.lower().replace(" ", "-") for heading in headings]


def test_every_error_has_a_section_and_every_section_an_error() -> None:
    classes = {anchor_of_class(type(name, (), {})) for name in error_classes()}
    known = classes | {anchor_of_code(code) for code in CODES}
    assert len(classes) > 40
    assert sorted(anchors()) == sorted(known)


@pytest.mark.parametrize(
    ("error", "anchor"),
    [
        (AgentError("model_refused", "no"), "model-refused"),
        (AgentError("\x1b[31m", "a code of a hostile board"), "agent"),
        (BoardDiskError("full", "", NO_SPACE), "no-space"),
        (BoardDiskError("no such folder", "", ""), "board-disk"),
        (ToolkitError("no"), "toolkit"),
    ],
)
def test_an_error_leads_to_its_section(error: BaseException, anchor: str) -> None:
    assert help_section(error) == f"{PAGE}#{anchor}"
    assert anchor in anchors()


def test_a_command_that_fails_names_the_section(tmp_path: Path) -> None:
    ran = kedge("inspect", "none.tflite", cwd=tmp_path)
    assert ran.code == 4
    assert ran.err.splitlines()[-1] == f"  {PAGE}#conversion"


def test_an_error_of_the_conversion_process_keeps_its_section() -> None:
    from converters.child import answer_error

    answer = {"type": "LayerOutsideGraphError", "message": "no", "hint": "", "exit_code": 4}
    assert help_section(answer_error(answer)) == f"{PAGE}#layer-outside-graph"
