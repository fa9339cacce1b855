"""`kedge target rekey`."""

from __future__ import annotations

import click

from toolkit.cli import output
from toolkit.cli.completion import complete_targets
from toolkit.cli.host_key import accept_host_key


@click.command("rekey")
@click.argument("name", shell_complete=complete_targets)
@click.option(
    "--host-key",
    "--fingerprint",
    "fingerprint",
    metavar="SHA256:…",
    help="Fingerprint that the board must show; kedge asks if it is not given.",
)
def rekey(name: str, fingerprint: str | None) -> None:
    """Pin the host key of a board that was replaced or installed anew.

    The command shows the old and the new key and asks before it changes kedge.toml. What else the
    entry says stays. Compare the new key on the board itself: an attacker between you and the board
    would show another one.

    \b
    kedge target rekey pi
    kedge target rekey pi --host-key SHA256:W0N/cB8TkwzxYp0mVdz3m9e9oHcLQqyrT4RWgTH6yzE
    """
    from toolkit.enrollment import replace_host_key

    before, after = replace_host_key(
        name,
        fingerprint,
        lambda old: output.note(f"{name} was known by {_words(old.host_key_type, old.host_key)}"),
        accept_host_key,
    )
    if before == after:
        output.say(f"{name} shows the key that is pinned already; nothing was changed")
    else:
        output.say(
            f"{name} is pinned to {_words(after.host_key_type, after.host_key)}; see: kedge target "
            f"check {name}"
        )


def _words(key_type: str | None, fingerprint: str | None) -> str:
    return f"{key_type or 'a key'} {fingerprint or 'of any kind'}"
