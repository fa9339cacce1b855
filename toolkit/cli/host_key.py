"""Lets a person decide whether a host key is that of a board."""

from __future__ import annotations

import sys

import click

from toolkit.cli import output


def accept_host_key(name: str, key_type: str, fingerprint: str) -> bool:
    """Show a host key, and ask whether it is right.

    Args:
        name: Name of the target, or `the jump host HOST`.
        key_type: Type of the key.
        fingerprint: Fingerprint of the key.

    Raises:
        UsageError: Nobody is there to answer.
    """
    output.note(f"{name} shows the host key {key_type} {fingerprint}")
    place = name if name.startswith("the jump host") else "the board"
    output.note(f"Compare it on {place}: ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub")
    try:
        return click.confirm(f"Is this {place}?", err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        message = (
            f"nobody is there to accept the host key of {name}; name that of the board with "
            "--host-key SHA256:…, and have those of jump hosts in ~/.ssh/known_hosts"
        )
        raise click.UsageError(message) from None
