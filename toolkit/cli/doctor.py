"""`kedge doctor`."""

from __future__ import annotations

import click

from toolkit.cli import output
from toolkit.cli.options import as_json

EXIT_WRONG = 3


@click.command("doctor")
@as_json
def command(as_json: bool) -> int:
    """Check this computer: packages, SSH keys, programs, disks and the project.

    A board is checked by `kedge target check`. The exit code is 3 if something is wrong; what is
    not installed is no fault, as not everybody needs it.

    \b
    kedge doctor
    kedge doctor --json
    """
    from toolkit.host_check.facts import read_host_facts
    from toolkit.host_check.findings import WRONG, judge_host

    findings = judge_host(read_host_facts())
    if as_json:
        output.print_json({"schema": 1, "findings": [vars(finding) for finding in findings]})
    else:
        rows = [[each.subject, each.state, each.detail] for each in findings]
        output.table("", ["", "state", "found"], rows)
        for each in findings:
            if each.fix:
                output.note(f"{each.subject}: {each.fix}")
    return EXIT_WRONG if any(each.state == WRONG for each in findings) else 0
