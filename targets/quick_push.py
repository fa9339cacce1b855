"""Sends a file into the scratch area of a board without starting its agent.

One short script takes the bytes, compares their digest, syncs and renames. Whatever is not plain,
such as a file that is there already or a board without these programs, is left to the agent.
"""

from __future__ import annotations

import shlex

from targets.staged_file import StagedFile
from targets.transport import Transport

_TIMEOUT_S = 60.0

#: Larger files are left to the agent, which continues an interrupted transfer.
MOST_BYTES = 8 << 20

#: The new file has a name of its own until it is whole; the agent removes what a cut link leaves.
_SCRIPT = """
umask 077
cd {scratch} 2>/dev/null || exit 9
[ -e {digest} ] && exit 8
new=../partial/.push-$$
trap 'rm -f "$new"' EXIT
cat > "$new" || exit 7
set -- $(sha256sum "$new")
[ "$1" = {digest} ] || exit 6
sync "$new" && mv "$new" {digest} && sync . && echo {digest}
""".strip().replace("\n", "; ")


def push_quickly(transport: Transport, root: str, content: bytes, digest: str) -> StagedFile | None:
    """Send a file.

    Args:
        transport: Connection to the board.
        root: Absolute path of the folder that belongs to kedge there.
        content: Content of the file, at most `MOST_BYTES`.
        digest: SHA-256 of the content.

    Returns:
        File on the board; `None` where the agent must do it.

    Raises:
        TargetError: The link ended, or the board does not answer.
    """
    scratch = f"{root}/store/scratch"
    script = _SCRIPT.format(scratch=shlex.quote(scratch), digest=digest)
    result = transport.run("sh -c " + shlex.quote(script), content, _TIMEOUT_S)
    if result.exit_code != 0 or not result.stdout.decode("utf-8", "replace").endswith(
        f"{digest}\n"
    ):
        return None
    return StagedFile(digest, len(content), f"{scratch}/{digest}", len(content))
