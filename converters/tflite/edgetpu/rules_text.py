"""The rules of the Edge TPU compiler as a table for the docs; run it to print the table."""

from __future__ import annotations

import sys

from converters.tflite.edgetpu.rules import GENERAL_RULES, OP_RULES, REPLACEMENTS, Rule


def markdown_of_rules() -> str:
    """Return the rules as Markdown."""
    lines = ["| every operator | if not |", "|---|---|"]
    lines += [f"| {rule.condition} | {rule.fix} |" for rule in GENERAL_RULES]
    lines += ["", "| operators | condition | if not |", "|---|---|---|"]
    groups: dict[tuple[Rule, ...], list[str]] = {}
    for op, rules in OP_RULES.items():
        groups.setdefault(rules, []).append(op)
    for rules, ops in groups.items():
        names = ", ".join(f"`{op}`" for op in ops)
        for rule in rules:
            origin = f" (learnt from {rule.learnt_from})" if rule.learnt_from else ""
            lines.append(f"| {names} | {rule.condition}{origin} | {rule.fix} |")
        if not rules:
            lines.append(f"| {names} | none | |")
    lines += ["", "| not known to the compiler | what to do |", "|---|---|"]
    lines += [f"| `{op}` | {fix} |" for op, fix in REPLACEMENTS.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(markdown_of_rules())
