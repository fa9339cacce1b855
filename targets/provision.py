"""Reaches a target, brings the agent there if it is missing, and starts it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from device_agent.contract.codes import (
    NO_SPACE,
    READ_ONLY,
    STORAGE,
    UNSAFE_ROOT,
    IntegrityError,
)
from targets.agent_archive import AgentArchive, agent_archive
from targets.agent_client import AgentClient, AgentError
from targets.board_disk import BoardDiskError, disk_error, disk_error_of_words
from targets.device import Device
from targets.errors import TargetError
from targets.forced_command import ForcedCommandError, refuse_other_agent, require_commands
from targets.inventory import Target
from targets.known_boards import KnownBoard, KnownBoards, place_text
from targets.local import LocalTransport
from targets.probe import Probe, Python, probe_board
from targets.probe_script import COMMAND
from targets.transport import Transport, UnreachableError

UPLOAD_TIMEOUT_S = 60.0

#: Number of files and folders that the agent needs on a board at least, with those of its store.
AGENT_FILES = 16
REMOVE_TIMEOUT_S = 120.0

#: Arrives under a name of its own and is renamed when it is whole: to `cat`, a cut link looks like
#: the end of the file. In one line: the login shell may be csh, whose quotes hold no line end.
_UPLOAD = "; ".join(
    """
LC_ALL=C; export LC_ALL
umask 077
new={folder}/.new-$$
top={root}
while up=$(dirname "$top"); [ ! -d "$up" ]; do top=$up; done
trap 'rm -f "$new"' EXIT
trap 'exit 1' HUP INT TERM PIPE
[ -d {root} ] || new_root=yes
mkdir -p {folder} || exit 1
[ -z "$new_root" ] || {{ [ -O "$top" ] && [ -O {root} ]; }} || {{ echo {taken} >&2; exit 1; }}
[ "$top" = {root} ] || printf %s "$top" > {folder}/.made
cat > "$new" || exit 1
[ "$(wc -c < "$new")" -eq {size} ] || {{ echo "it did not arrive whole" >&2; exit 1; }}
sync && mv "$new" {folder}/{sha256}.pyz
""".strip().splitlines()
)

#: How the script below ends when a host holds the lock that `device_agent.store.reservation` takes.
_IN_USE = 75

#: How it ends when an application may have a release open, which goes only if the user says so.
_RELEASED = 76

#: Only what kedge made goes, by name: the root may be a folder in which others keep files, too.
#: The folders above it go only if the upload noted that it made them, and if they are empty.
_REMOVE = """
LC_ALL=C; export LC_ALL
root={root}
case "$root" in
  "~"/*) [ -n "$HOME" ] || {{ echo "HOME is not set" >&2; exit 1; }}; root="$HOME/${{root#??}}" ;;
esac
[ -d "$root" ] || exit 0
cd "$root" || exit 1
for folder in . agent store; do
  [ ! -e "$folder" ] || [ -O "$folder" ] && continue
  echo "$root belongs to another user" >&2
  exit 1
done
if command -v flock >/dev/null && [ -e store/lock ]; then
  tries=5  # the agent of a command that has just ended may still be ending
  while flock -n store/lock true; [ $? = 1 ]; do
    who=$(cat store/lock); who=${{who#*: '"'}}
    [ $((tries -= 1)) -gt 0 ] || {{ printf '%s\\n' "${{who%'"'*}}" >&2; exit {in_use}; }}
    sleep 1
  done
fi
apps=
for link in store/apps/*/current; do
  [ ! -h "$link" ] || {{ app=${{link%/current}}; apps="$apps ${{app##*/}}"; }}
done
if [ -n "$apps" ] && [ {with_releases} = no ]; then
  printf '%s\n' "${{apps# }}" >&2
  exit {released}
fi
if command -v flock >/dev/null && [ -e store/release-lock ]; then
  flock -n store/release-lock true || {{ echo "another process" >&2; exit {in_use}; }}
fi
made=$(cat agent/.made 2>/dev/null)
rm -f agent/*.pyz agent/*.pyc agent/.new-* agent/.made store/lock || exit 1
rm -rf store/scratch store/partial store/runtimes store/engines store/work-* || exit 1
rm -rf store/apps store/rel store/cas store/trust store/log || exit 1
rm -f store/floor.json* store/unused.json* store/spare* store/release-lock || exit 1
rmdir agent store 2>/dev/null
cd / && rmdir "$root" 2>/dev/null || {{ echo kept; exit 0; }}
case "$root" in "${{made:-none}}"/*) ;; *) exit 0 ;; esac
while [ "$root" != "$made" ]; do root=$(dirname "$root"); rmdir "$root" 2>/dev/null || exit 0; done
"""


def connect(target: Target) -> Transport:
    """Open the way to a target.

    Raises:
        TargetError: The target cannot be reached; the subclass says why.
    """
    if target.is_local:
        return LocalTransport()
    from targets.ssh.transport import (
        connect_ssh,  # paramiko takes 0.2 s to import: only who needs it
    )

    return connect_ssh(target)


@contextmanager
def open_device(target: Target) -> Iterator[Device]:
    """Connect to a target and start the agent there; end both on leaving.

    Raises:
        TargetError: It cannot be reached, or its disk is full or read-only.
        NoPythonError: It has no Python that runs the agent.
        IntegrityError: The agent that was sent is damaged on the board.
    """
    with ExitStack() as stack:
        transport = stack.enter_context(connect(target))
        yield _bring_agent(transport, target, stack)[0]


@contextmanager
def reopen_device(target: Target, boards: KnownBoards) -> Iterator[Device]:
    """Connect to a target and start the agent there, without a probe where the board is known.

    Args:
        target: Target.
        boards: Known boards; a board that had to be probed is added.

    Raises:
        TargetError: It cannot be reached, or its disk is full or read-only.
        NoPythonError: It has no Python that runs the agent.
        IntegrityError: The agent that was sent is damaged on the board.
    """
    with ExitStack() as stack:
        transport = stack.enter_context(connect(target))
        board = boards.get(target)
        device = None
        if board is not None and board.agent_sha256 == agent_archive().sha256:
            device = _start_known(transport, board, target, stack)
        if device is None:
            device, board = _bring_agent(transport, target, stack)
            boards.keep(target, board)
        yield device


def _bring_agent(
    transport: Transport, target: Target, stack: ExitStack
) -> tuple[Device, KnownBoard]:
    """Probe a board, send the agent unless it is there, and start it."""
    archive = agent_archive()
    try:
        probe = probe_board(transport, target.root, archive.sha256, target.execution.python)
    except ForcedCommandError:
        return _start_forced(transport, target, stack)
    require_safe(probe, target)
    if not probe.has_agent:
        _upload(transport, probe, archive, target)
    board = _describe_board(probe, target)
    device = _start(transport, board, target, stack)
    if device.facts.agent_sha256 != archive.sha256:
        raise IntegrityError(
            f"the agent on {target.name} is not what was sent",
            "Check the board's storage.",
        )
    return device, board


def _start_forced(
    transport: Transport, target: Target, stack: ExitStack
) -> tuple[Device, KnownBoard]:
    """Start the agent where the key runs nothing else: the board does not look at the command."""
    sha256 = agent_archive().sha256
    board = KnownBoard(place_text(target), target.root, "python3", sha256)
    device = _start(transport, board, target, stack)
    sha256_there = device.agent_sha256()
    if sha256_there != sha256:
        raise refuse_other_agent(target.name, sha256_there, sha256)
    return device, board


def _describe_board(probe: Probe, target: Target) -> KnownBoard:
    return KnownBoard(
        place=place_text(target),
        root=probe.root,
        python=target.execution.python or probe.python.executable,
        agent_sha256=agent_archive().sha256,
        code_tag=_code_tag(probe.python),
        mount_options=list(probe.mount_options),
    )


def _code_tag(python: Python) -> str:
    """Return the tag of a Python's compiled code; a wrong one costs the time of a failed start."""
    major, minor = python.version
    is_usual = python.build.get("implementation", "cpython") == "cpython"
    return f"cpython-{major}{minor}" if is_usual else ""


def _start_known(
    transport: Transport, board: KnownBoard, target: Target, stack: ExitStack
) -> Device | None:
    """Start the agent of a known board; return `None` where it does not answer as it must."""
    endings = [f"{board.code_tag}.pyc"] if board.code_tag else []
    for ending in (*endings, "pyz"):
        device = _start(transport, board, target, stack, ending)
        with suppress(UnreachableError, AgentError):  # it is not there, or Python is another one
            if device.agent_sha256() == board.agent_sha256:
                return device
    return None


def remove_from_board(target: Target, with_releases: bool = False) -> bool:
    """Remove everything that kedge put on a board.

    Args:
        target: Board.
        with_releases: Whether active releases go, too: an application may have them open.

    Returns:
        Whether the root folder is gone too; files of others keep it.

    Raises:
        TargetError: The board cannot be reached, has an active release, or something is still on
            it.
    """
    with connect(target) as transport:
        script = _REMOVE.format(
            root=shlex.quote(target.root),
            in_use=_IN_USE,
            released=_RELEASED,
            with_releases="yes" if with_releases else "no",
        )
        result = transport.run(COMMAND, script.encode(), REMOVE_TIMEOUT_S)
        require_commands(result.stdout)
    if result.exit_code != 0:
        message = result.stderr.decode("utf-8", "replace").strip()
        if result.exit_code == _IN_USE:
            raise TargetError(
                f"{message} is using {target.name}; nothing was removed",
                "Wait until it is done, then try again.",
            )
        if result.exit_code == _RELEASED:
            raise TargetError(
                f"{target.name} has an active release of {message}, which an application may have "
                "open; nothing was removed",
                f"Stop the application, then: kedge target remove {target.name} --with-releases",
            )
        what = "it did not remove everything"
        raise disk_error_of_words(target.name, what, message) or TargetError(
            f"{target.name}: {what}: {message}",
            "Remove the cause on the board, then try again.",
        )
    return b"kept" not in result.stdout


def require_safe(probe: Probe, target: Target) -> None:
    """Refuse a board on which others than the user may change the root folder.

    Raises:
        BoardDiskError: Others may change it; the message says who, the hint what helps.
    """
    if probe.unsafe_cause:
        message = f"{target.name}: {probe.unsafe_cause}"
        raise BoardDiskError(message, probe.unsafe_fix, UNSAFE_ROOT)


def require_writable(probe: Probe, target: Target) -> None:
    """Refuse a board on which kedge has no place for its files.

    Raises:
        BoardDiskError: The root folder cannot be written, or others may change it; the user names
            another.
    """
    require_safe(probe, target)
    if probe.root_refusal:
        raise BoardDiskError(
            f"{target.name}: {probe.root_refusal}",
            "Name a writable folder on the board: --root FOLDER of `kedge target add`, or `root` "
            "of this target in kedge.toml.",
            READ_ONLY,
        )


def _upload(transport: Transport, probe: Probe, archive: AgentArchive, target: Target) -> None:
    require_writable(probe, target)
    _ = probe.python  # refuse before anything is changed on a board that cannot run the agent
    _require_room(probe, len(archive.content), target.name)
    folder = shlex.quote(f"{probe.root}/agent")
    script = _UPLOAD.format(
        root=shlex.quote(probe.root),
        folder=folder,
        sha256=archive.sha256,
        size=len(archive.content),
        taken=shlex.quote(f"another user made {probe.root} meanwhile"),
    )
    result = transport.run("sh -c " + shlex.quote(script), archive.content, UPLOAD_TIMEOUT_S)
    if result.exit_code != 0:
        message = result.stderr.decode("utf-8", "replace").strip()
        what = "it did not take the agent"
        raise disk_error_of_words(target.name, what, message) or BoardDiskError(
            f"{target.name}: {what}: {message}",
            f"Try again. If it stays so, look at the board: kedge target check {target.name}",
            UNSAFE_ROOT if "another user" in message else STORAGE,
        )


def _require_room(probe: Probe, size: int, name: str) -> None:
    """Refuse before anything is written where the agent does not fit on the disk."""
    if probe.free_bytes is not None and probe.free_bytes < size:
        message = f"{size} bytes are needed under {probe.root}; {probe.free_bytes} are free"
        raise disk_error(name, NO_SPACE, message)
    if 0 <= probe.free_files < AGENT_FILES:
        message = (
            f"{AGENT_FILES} files are needed under {probe.root}; its file system takes "
            f"{probe.free_files} more"
        )
        raise disk_error(name, NO_SPACE, message, "Delete files on the board (`df -i` shows it).")


def _start(
    transport: Transport, board: KnownBoard, target: Target, stack: ExitStack, ending: str = "pyz"
) -> Device:
    program = f"{board.root}/agent/{board.agent_sha256}.{ending}"
    command = [board.python, "-I", program, "serve", board.root]
    # The empty line ends whatever the login shell printed before. A restricted shell runs no
    # program by its path, but `sh` does.
    line = "sh -c " + shlex.quote("echo; exec " + shlex.join(command))
    client = AgentClient(transport.open(line), target.name)
    stack.callback(client.close)
    return Device(target, board.root, board.mount_options, client)
