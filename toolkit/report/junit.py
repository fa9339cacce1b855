"""Results as JUnit XML, which CI servers show as tests. Pure.

The form is that of Ant's JUnit task, as Jenkins, GitLab and GitHub's actions read it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree

PASSED = "passed"
#: A gate, a budget or a comparison said no.
FAILED = "failure"
#: Nothing can be said: the figure is not trustworthy, or the board did not answer.
ERROR = "error"


@dataclass(frozen=True)
class Case:
    """One thing that was checked."""

    subject: str
    """Board, model or recipe that it is about."""
    name: str
    """Thing that was checked, such as "outputs"."""
    verdict: str
    """`PASSED`, `FAILED` or `ERROR`."""
    reason: str = ""
    """Reason of the verdict in words."""
    figures: Mapping[str, object] = field(default_factory=dict)
    """Name of each figure to its value."""


def junit_text(suite: str, cases: Sequence[Case]) -> str:
    """Return cases as JUnit XML.

    Args:
        suite: Name of all cases together.
        cases: Cases, in the order in which they are listed.
    """
    counts = {kind: sum(case.verdict == kind for case in cases) for kind in (FAILED, ERROR)}
    root = ElementTree.Element(
        "testsuite",
        name=_text(suite),
        tests=str(len(cases)),
        failures=str(counts[FAILED]),
        errors=str(counts[ERROR]),
    )
    for case in cases:
        element = ElementTree.SubElement(
            root, "testcase", classname=_text(f"kedge.{case.subject}"), name=_text(case.name)
        )
        if case.figures:
            properties = ElementTree.SubElement(element, "properties")
            for name, value in case.figures.items():
                ElementTree.SubElement(
                    properties, "property", name=_text(name), value=_text(str(value))
                )
        if case.verdict != PASSED:
            ElementTree.SubElement(element, case.verdict, message=_text(case.reason))
        elif case.reason:
            ElementTree.SubElement(element, "system-out").text = _text(case.reason)
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _text(text: str) -> str:
    """Text without the control characters that no XML may have."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else "�" for sign in text)
