"""Reads what a board runs without starting its agent: one short script, for many boards at once.

Whatever is not plain, such as a trial that may be over, is left to the agent.
"""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import fields
from typing import Any

from device_agent.contract.names import require_app, require_sha256
from device_agent.contract.records import RecordError, parse_json, read_record
from device_agent.contract.release_state import AppState, BoardReleases
from targets.release_answers import check_releases
from targets.transport import Transport

_TIMEOUT_S = 30.0

#: Largest manifest that is read; whoever has a larger one is asked through the agent.
_MOST_MANIFEST_BYTES = 65536

#: Prints three lines for each application, then the file of counters, then a line that nothing was
#: cut.
_SCRIPT = (
    "cd {store} 2>/dev/null || exit 0; for app in apps/*/; do app=${{app%/}}; "
    '[ -d "$app" ] || continue; [ -e "$app/trial.json" ] && echo trial; '
    '[ -f "$app/current/manifest.json" ] || echo odd; '
    'echo "app ${{app#apps/}} $(readlink "$app/current")"; '
    'head -c {most} "$app/current/manifest.json"; '
    'head -c 100 "$app/current/variant"; done; '
    "echo floor; cat floor.json; echo; echo end"
)


def look_at_releases(transport: Transport, root: str) -> BoardReleases | None:
    """Read the releases of a board.

    Args:
        transport: Connection to the board.
        root: Absolute path of the folder that belongs to kedge there.

    Returns:
        Applications and epoch, nothing else; `None` where only the agent can tell.

    Raises:
        TargetError: The link ended, or the board does not answer.
    """
    script = _SCRIPT.format(store=shlex.quote(f"{root}/store"), most=_MOST_MANIFEST_BYTES)
    result = transport.run("sh -c " + shlex.quote(script), b"", _TIMEOUT_S)
    try:
        return _read(result.stdout.decode("utf-8", "replace"))
    except (RecordError, ValueError, KeyError, TypeError):
        return None


def _read(text: str) -> BoardReleases | None:
    before, _, rest = text.partition("\nfloor\n")
    counters, _, end = rest.rpartition("\nend\n")
    lines = before.split("\n")
    if end or "trial" in lines or "odd" in lines:
        return None
    plain: dict[str, Any] = parse_json(counters.split("\n")[0].encode())
    apps = {}
    for line, manifest, variant in zip(*[iter(lines)] * 3, strict=True):
        word, name, link = line.split(" ")
        if word != "app" or not link.startswith("../../rel/"):
            return None
        current = require_sha256(link.removeprefix("../../rel/"), "current")
        if hashlib.sha256(f"{manifest}\n".encode()).hexdigest() != current:
            return None
        release = {"version": parse_json(manifest.encode())["version"], "variant": variant}
        apps[require_app(name)] = _app(current, {**plain["apps"][name], **release})
    return check_releases(BoardReleases(apps=apps, epoch=int(plain["epoch"])))


def _app(current: str, floor: dict[str, Any]) -> AppState:
    known = {field.name for field in fields(AppState)}
    values = {"previous": "", "version": "", "variant": "", **floor, "current": current}
    values["order"] = floor["confirmed_order"]
    return read_record(AppState, {name: values[name] for name in values if name in known})
