"""The probe's script under real shells, on boards with odd Pythons and odd folders."""

import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from targets import probe_script as script_module
from targets.agent_archive import agent_archive
from targets.errors import TargetError
from targets.local import LocalTransport
from targets.probe import NoPythonError, Probe, probe_board, read_probe
from targets.transport import CommandResult
from tests.device_agent.agents import files_below

AGENT = agent_archive()
REAL = Path(sys.executable).resolve()
TOOLS = ("cat", "uname", "dirname", "df", "awk", "env", "printf")


class OwnShell(LocalTransport):
    """A board whose login shell, PATH and home are a test's own."""

    def __init__(self, shell: list[str], environment: dict[str, str], greeting: str = "") -> None:
        self._shell, self._environment, self._greeting = shell, environment, greeting

    def run(self, command: str, stdin: bytes, timeout_s: float) -> CommandResult:
        """Like a login shell that prints its greeting and then runs the command."""
        if command.startswith("sh -c "):
            command = shlex.join(self._shell) + command[len("sh") :]
        done = subprocess.run(
            ["/bin/sh", "-c", f"printf %s {shlex.quote(self._greeting)}; {command}"],
            input=stdin,
            capture_output=True,
            timeout=timeout_s,
            env=self._environment,
            check=False,
        )
        return CommandResult(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """The folder that is the board's PATH: the usual tools, and no Python unless a test adds it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool).symlink_to(shutil.which(tool) or "/none")
    return folder


#: Folders whose name `echo` of dash changes, or ends.
BACKSLASHES = [r"c\new", r"b\tmp", r"e\c", r"o\0101", r"d\\d", "-n", r"end\ "]


def add(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text("#!/bin/sh\n" + script + "\n")
    (folder / name).chmod(0o755)


Look = Callable[..., Probe]


@pytest.fixture
def look(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Look:
    # The script adds the system's folders to the PATH; here they are the test's, too.
    script = script_module._SCRIPT.replace("/usr/local/bin:/usr/bin:/bin", "/none")
    monkeypatch.setattr(script_module, "_SCRIPT", script)

    def act(
        root: str = "~/kedge", shell: str = "/bin/sh", greeting: str = "", **more: Any
    ) -> Probe:
        environment = {"PATH": str(programs), "HOME": str(tmp_path)}
        transport = OwnShell(shell.split(), environment, greeting)
        return probe_board(transport, root, AGENT.sha256, **more)

    return act


def real_shells() -> list[str]:
    found = []
    for shell in ("dash", "bash --posix", "busybox sh", "mksh", "zsh --emulate sh"):
        path = shutil.which(shell.split()[0])
        found.append(" ".join([path, *shell.split()[1:]]) if path else f"no {shell.split()[0]}")
    return found


@pytest.mark.parametrize("shell", real_shells(), ids=lambda shell: shell.split("/")[-1])
def test_every_posix_shell_runs_it(look: Look, programs: Path, tmp_path: Path, shell: str) -> None:
    if shell.startswith("no "):
        pytest.skip(f"{shell[3:]} is not installed")
    add(programs, "python3", f'exec {REAL} "$@"')
    seen = look(shell=shell)

    assert seen.machine == platform.machine()
    assert seen.root == f"{tmp_path}/kedge"
    assert seen.writable
    assert seen.free_bytes is not None
    assert seen.free_bytes > 0
    assert not seen.has_agent
    assert seen.python.version == sys.version_info[:2]
    assert files_below(tmp_path) == sorted(["bin/python3", *(f"bin/{tool}" for tool in TOOLS)])


def test_a_shim_is_resolved_to_the_real_executable(look: Look, programs: Path) -> None:
    add(programs, "python3", f'exec {REAL} "$@"')

    assert look().python.executable == str(REAL)


def test_a_virtual_environment_is_left_for_its_base(look: Look, programs: Path) -> None:
    add(programs, "python3", f'exec {sys.executable} "$@"')
    found = Path(look().python.executable)

    assert found.resolve() == REAL
    assert ".venv" not in found.parts


def test_a_board_without_python_says_what_it_needs(look: Look) -> None:
    seen = look()

    assert seen.pythons == ()
    with pytest.raises(NoPythonError, match="Python 3.7 or newer .*found: none") as refused:
        _ = seen.python
    assert "apt-get install python3" in refused.value.hint


def old_python(minor: str) -> str:
    found = sorted(Path.home().glob(f".pyenv/versions/{minor}.*/bin/python"))
    if not found:
        pytest.skip(f"Python {minor} is not installed")
    return str(found[-1].resolve())


def test_an_old_python_alone_is_named(look: Look, programs: Path) -> None:
    add(programs, "python3", f'exec {old_python("3.6")} "$@"')
    seen = look()

    with pytest.raises(NoPythonError, match="found: 3.6"):
        _ = seen.python


def test_python_2_alone_is_no_python(look: Look, programs: Path) -> None:
    add(programs, "python3", f'exec {old_python("2.7")} "$@"')

    with pytest.raises(NoPythonError):
        _ = look().python


def test_a_newer_python_beside_an_old_one_is_taken(look: Look, programs: Path) -> None:
    add(programs, "python3", f'exec {old_python("3.6")} "$@"')
    add(programs, "python3.8", f'exec {old_python("3.8")} "$@"')
    seen = look()

    assert seen.python.version == (3, 8)
    assert [python.version for python in seen.pythons] == [(3, 6), (3, 8)]


@pytest.mark.parametrize("broken", ["exit 1", "echo python=9.9 oops; exit 127", "kill -9 $$"])
def test_a_broken_shim_is_passed_over(look: Look, programs: Path, broken: str) -> None:
    add(programs, "python3", broken)
    add(programs, "python3.9", f'exec {REAL} "$@"')

    assert look().python.executable == str(REAL)


@pytest.mark.parametrize(
    "greeting", ["Welcome!\nroot=/evil\npython=a.b\n", "no newline at the end", "a=b\nend=no\n"]
)
def test_a_chatty_login_shell_is_passed_over(
    look: Look, programs: Path, tmp_path: Path, greeting: str
) -> None:
    add(programs, "python3", f'exec {REAL} "$@"')
    seen = look(greeting=greeting)

    assert seen.root == f"{tmp_path}/kedge"
    assert seen.python.executable == str(REAL)


@pytest.mark.parametrize(
    "name", ["with space", "quo'te", 'dou"ble', "$HOME", "`id`", "a;b", "ü", *BACKSLASHES]
)
def test_a_root_is_taken_literally(look: Look, programs: Path, tmp_path: Path, name: str) -> None:
    add(programs, "python3", f'exec {REAL} "$@"')
    folder = tmp_path / name / "agent"
    folder.mkdir(parents=True)
    (folder / f"{AGENT.sha256}.pyz").write_bytes(AGENT.content)

    for root in (str(tmp_path / name), f"~/{name}"):
        seen = look(root)
        assert seen.root == str(tmp_path / name)
        assert seen.has_agent


def test_a_damaged_agent_is_none(look: Look, programs: Path, tmp_path: Path) -> None:
    add(programs, "python3", f'exec {REAL} "$@"')
    (tmp_path / "kedge/agent").mkdir(parents=True)
    (tmp_path / "kedge/agent" / f"{AGENT.sha256}.pyz").write_bytes(AGENT.content[:-1])

    assert not look().has_agent


def test_a_root_that_is_not_there_is_not_made(look: Look, tmp_path: Path) -> None:
    seen = look(str(tmp_path / "a/b/c"))

    assert seen.writable
    assert not (tmp_path / "a").exists()


def test_a_home_that_is_no_whole_path_does_not_keep_the_board_busy(programs: Path) -> None:
    board = OwnShell(["/bin/sh"], {"PATH": str(programs), "HOME": "nowhere"})

    assert probe_board(board, "~/kedge", AGENT.sha256).root == "nowhere/kedge"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a read-only folder")
def test_a_read_only_root_is_seen(look: Look, tmp_path: Path) -> None:
    folder = tmp_path / "ro"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", folder], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        assert not look(str(folder / "kedge")).writable
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("root", ["/proc/kedge", "/sys/kernel/kedge"])
def test_a_file_system_that_keeps_no_files_is_seen_although_root_may_write(
    look: Look, root: str
) -> None:
    seen = look(root)

    assert not seen.writable
    assert f"{root} lies in a file system that keeps no files" in seen.root_refusal


@pytest.mark.parametrize(
    "output",
    ["", "This account is not available.", "root=/x\n", "end=yes\n", "root=\nend=yes\n", "\0"],
)
def test_what_answers_without_a_shell_is_quoted(output: str) -> None:
    with pytest.raises(TargetError, match="no usable shell; it said: ") as refused:
        read_probe(output)
    assert "may run `sh`" in refused.value.hint


def test_the_complaint_of_a_board_is_quoted() -> None:
    with pytest.raises(TargetError, match="it said: sh: not found"):
        read_probe("", "sh: not found\n")


def test_a_board_that_tells_no_space_is_still_a_board() -> None:
    seen = read_probe("root=/x\nfree_kib=\npython=3.9 /usr/bin/python3\nend=yes\n")

    assert seen.free_bytes is None
    assert seen.python.executable == "/usr/bin/python3"


def test_a_python_that_no_other_can_beat_ends_the_asking(look: Look, programs: Path) -> None:
    add(programs, "python3", f'exec {old_python("3.11")} "$@"')
    add(programs, "python3.9", f'exec {old_python("3.9")} "$@"')

    assert [python.version for python in look().pythons] == [(3, 11)]
    assert [python.version for python in look(all_pythons=True).pythons] == [(3, 11), (3, 9)]


def test_an_older_python_is_taken_when_it_gets_the_better_runtime(
    look: Look, programs: Path
) -> None:
    add(programs, "python3", f'exec {old_python("3.7")} "$@"')
    add(programs, "python3.12", f'exec {old_python("3.12")} "$@"')
    add(programs, "python3.8", f'exec {old_python("3.8")} "$@"')

    assert look().python.version == (3, 12)  # ai-edge-litert; the others have tflite-runtime only


def test_the_python_that_is_named_is_the_only_one_asked(look: Look, programs: Path) -> None:
    add(programs, "python3", f'exec {REAL} "$@"')
    named = old_python("3.9")
    seen = look(python=named)

    assert [python.executable for python in seen.pythons] == [str(Path(named).resolve())]
    assert look(python="/no/such/python").pythons == ()


def test_what_a_python_has_installed_is_told(look: Look, programs: Path) -> None:
    add(programs, "python3", f'exec {sys.executable} "$@"')
    seen = look()

    assert seen.python.is_shim
    assert seen.python.installed["ai_edge_litert"]
    assert {runtime["name"] for runtime in seen.python.runtimes} >= {"ai-edge-litert"}
    facts = seen.facts_with(seen.python)
    assert facts.machine == platform.machine()
    assert facts.python == platform.python_version()


def test_a_python_without_parts_of_its_library_cannot_run_the_agent(
    look: Look, programs: Path, tmp_path: Path
) -> None:
    hide = tmp_path / "hide.py"  # runs what it was asked to run, as an image without zlib would
    hide.write_text(
        "import importlib.util as util, sys\n"
        "as_it_is = util.find_spec\n"
        "util.find_spec = lambda name: None if name == 'zlib' else as_it_is(name)\n"
        "code, sys.argv = sys.argv[4], sys.argv[4:]\n"
        "exec(code)\n"
    )
    add(programs, "python3", f'exec {REAL} -I -B {hide} "$@"')
    seen = look()

    assert seen.pythons[0].lacks == ("zlib",)
    with pytest.raises(NoPythonError, match="lacks zlib") as refused:
        _ = seen.python
    assert "python3-modules" in refused.value.hint


def test_a_board_whose_facts_cannot_be_read_is_still_a_board() -> None:
    seen = read_probe(
        "root=/x\nmachine=aarch64\nlibc=glibc 2.36\npython=3.8 /a\npython=3.11 /b\nend=yes\n"
    )

    assert seen.python.version == (3, 11)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a folder")
def test_a_root_that_is_mounted_noexec_is_seen(look: Look, tmp_path: Path) -> None:
    folder = tmp_path / "no exec"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "noexec", "none", folder]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        assert "noexec" in look(str(folder / "kedge")).mount_options
        assert "noexec" not in look(str(tmp_path)).mount_options
    finally:
        subprocess.run(["umount", folder], check=True)
