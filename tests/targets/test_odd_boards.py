"""Boards that are set up in an unusual way: each works, or says its cause and its fix at once."""

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from device_agent.store.tree_files import write_list
from targets import probe_script
from targets.agent_client import AgentError
from targets.board_disk import BoardDiskError
from targets.errors import TargetError
from targets.inventory import Target
from targets.local import LocalTransport
from targets.probe import NoPythonError, probe_board
from targets.provision import open_device, remove_from_board
from targets.runtimes.release import RuntimeChoice, Wheel
from tests.accounts import Account, openssh
from tests.boards import require_board_parts
from tests.device_agent.agents import files_below
from tests.kedge import assert_refused, kedge
from tests.targets.loopback import (
    let_boards_use_the_tests_python,
    start_own_sshd,
    target_at,
    with_own_runtime,
)
from tests.targets.small_disk import small_disk

pytestmark = pytest.mark.usefixtures("nothing_on_stderr")


@pytest.fixture
def here(tmp_path: Path) -> Target:
    return Target("here", "local", root=str(tmp_path / "root"))


def refusal(target: Target) -> TargetError:
    with pytest.raises(TargetError) as refused, open_device(target):
        pytest.fail("it opened")
    assert refused.value.hint
    return refused.value


# Login shells and forced commands.


@pytest.mark.parametrize("shell", ["tcsh", "fish", "dash", "bash", "rbash"])
def test_every_login_shell_will_do(shell: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    path = tmp_path / "file"
    path.write_bytes(os.urandom(50_000))
    account = Account(tmp_path / "home", shell=program)
    with openssh(tmp_path / "sshd", account) as target:
        target = replace(target, root=f"{account.home}/it's a 'root' $HOME")
        with open_device(target) as device:
            assert Path(device.push(path).path).read_bytes() == path.read_bytes()
        assert remove_from_board(target)
        assert not Path(target.root).exists()


def test_no_login_shell(tmp_path: Path) -> None:
    account = Account(tmp_path / "home", shell="/usr/sbin/nologin")
    with openssh(tmp_path / "sshd", account) as target:
        refused = refusal(target)

    assert "no usable shell; it said: This account is currently not available" in str(refused)
    assert "chsh -s /bin/sh" in refused.hint


@pytest.mark.parametrize(
    ("forced", "said"),
    [("internal-sftp", "no usable shell"), ("echo only backups here", "it said: only backups")],
)
def test_a_forced_command_that_runs_nothing_else(tmp_path: Path, forced: str, said: str) -> None:
    require_board_parts("ssh")
    with start_own_sshd(tmp_path / "sshd", extra_config=(f"ForceCommand {forced}",)) as server:
        refused = refusal(target_at(server))

    assert said in str(refused)
    assert "forced command" in refused.hint


def test_no_home(tmp_path: Path) -> None:
    require_board_parts("ssh")
    forced = 'ForceCommand unset HOME; eval "$SSH_ORIGINAL_COMMAND"'
    with start_own_sshd(tmp_path / "sshd", extra_config=(forced,)) as server:
        refused = refusal(target_at(server, "~/kedge"))
        assert "HOME is not set" in str(refused)
        assert "--root FOLDER" in refused.hint
        with pytest.raises(TargetError, match="HOME is not set"):
            remove_from_board(target_at(server, "~/kedge"))

        with open_device(target_at(server, tmp_path / "root")) as device:
            assert device.root == str(tmp_path / "root")


# Folders.


@pytest.fixture
def noexec(here: Target) -> Iterator[Target]:
    with small_disk(Path(here.root), "noexec,size=200m"):
        yield here


def test_no_runtime_is_sent_to_a_folder_that_is_mounted_noexec(noexec: Target) -> None:
    with open_device(noexec) as device:  # the agent is read, not executed
        device.use(
            RuntimeChoice(
                "tflite", "ai-edge-litert", "2.3.0", (Wheel("numpy", "2.0.0", "311", "x86_64"),)
            )
        )
        with pytest.raises(BoardDiskError, match="mounted noexec") as refused:
            device.prepare_runtime("tflite")
    assert noexec.root in str(refused.value)
    assert "`root`" in refused.value.hint
    assert not list(Path(noexec.root).glob("store/*/*"))


def test_a_shared_object_that_may_not_be_mapped_is_no_fault_of_the_wheel(
    noexec: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_boards_use_the_tests_python(monkeypatch)
    import ai_edge_litert

    tree = Path(noexec.root, "store/runtimes", "a" * 64)
    shutil.copytree(Path(ai_edge_litert.__file__).parent, tree / "ai_edge_litert")
    write_list(str(tree))
    with open_device(with_own_runtime(noexec)) as device:
        device._trees[device.runtime_for("tflite")] = "a" * 64
        with pytest.raises(AgentError, match="failed to map segment") as refused:
            device.prepare_runtime("tflite")
    assert "mounted noexec, or does SELinux or AppArmor" in refused.value.hint


def test_adding_says_that_a_folder_is_mounted_noexec(noexec: Target, tmp_path: Path) -> None:
    ran = kedge("target", "add", "here", "local", "--root", noexec.root, cwd=tmp_path)

    assert ran.code == 0, ran.err
    assert "are free for kedge at" in ran.out
    assert f"{noexec.root} is mounted noexec" in ran.err
    assert "--root" in ran.err


def test_adding_says_that_there_is_too_little_room(here: Target, tmp_path: Path) -> None:
    with small_disk(Path(here.root), "size=8m"):
        ran = kedge("target", "add", "here", "local", "--root", here.root, cwd=tmp_path)

    assert ran.code == 0, ran.err
    assert "too little for any runtime" in ran.err
    assert "kedge target check here" in ran.err


def test_a_folder_that_cannot_be_written_is_not_added(here: Target, tmp_path: Path) -> None:
    with small_disk(Path(here.root), "ro"):
        ran = kedge("target", "add", "here", "local", "--root", here.root, cwd=tmp_path)

    assert ran.code == 6
    assert f"{here.root} cannot be written" in ran.err
    assert "--root FOLDER" in ran.err
    assert not (tmp_path / "kedge.toml").exists()


def test_a_folder_in_proc_is_not_added(tmp_path: Path) -> None:
    ran = kedge("target", "add", "here", "local", "--root", "/proc/kedge", cwd=tmp_path)

    assert_refused(ran, 6, "/proc/kedge lies in a file system that keeps no files", "--root FOLDER")
    assert not (tmp_path / "kedge.toml").exists()


@pytest.mark.parametrize("below", ["", "/sub/folder"])
def test_a_file_is_no_folder_for_kedge(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("not kedge's")
    root = f"{tmp_path}/file{below}"
    ran = kedge("target", "add", "here", "local", "--root", root, cwd=tmp_path)

    assert_refused(ran, 6, f"{tmp_path}/file is not a folder", "--root FOLDER")


def test_a_folder_that_is_no_whole_path_is_refused_before_anybody_connects(
    tmp_path: Path,
) -> None:
    ran = kedge("target", "add", "far", "pi@192.0.2.1", "--root", "kedge", cwd=tmp_path)

    assert_refused(ran, 3, "root must be an absolute path or begin with ~/, found 'kedge'")


@pytest.mark.parametrize("root", ["/" + "y" * 256, "/" + "y" * 200 + "/y" * 1800])
def test_a_folder_of_too_long_a_name_is_refused_before_anybody_connects(
    tmp_path: Path, root: str
) -> None:
    ran = kedge("target", "add", "far", "pi@192.0.2.1", "--root", root, cwd=tmp_path)

    assert_refused(ran, 3, f"root has {len(root)} bytes", "Write a shorter one")


# Pythons.


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], LocalTransport]:
    """Puts a `python3` first on the PATH of this computer."""

    def act(script: str) -> LocalTransport:
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "python3").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "python3").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        return LocalTransport()

    return act


@pytest.mark.parametrize(
    "shim",
    [
        'echo "Welcome to the vendor\'s Python"; exec {real} "$@"',
        'echo loading >&2; exec {real} "$@"',
        'printf "Really? "; read -r answer; exec {real} "$@"',
    ],
)
def test_a_python_that_talks_or_asks_is_used(
    look: Callable[[str], LocalTransport], tmp_path: Path, shim: str
) -> None:
    real = Path(sys.executable).resolve()
    seen = probe_board(
        look(shim.format(real=shlex.quote(str(real)))), str(tmp_path / "root"), "a" * 64
    )

    assert str(real) in [python.executable for python in seen.pythons]


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("echo Unknown option: -I >&2; exit 2", 2),  # Python 2
        ("kill -SEGV $$", 139),
        ("exec sleep 60", 124),
        ("echo libpython3.so: cannot open shared object file >&2; exit 127", 127),
    ],
)
def test_a_python_that_does_not_start_is_named(
    look: Callable[[str], LocalTransport],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    code: int,
) -> None:
    monkeypatch.setattr(probe_script, "_PYTHON_LIMIT_S", 1)
    path = str(tmp_path / "bin/python3")
    seen = probe_board(look(script), str(tmp_path / "root"), "a" * 64, path)
    with pytest.raises(NoPythonError, match=f"{path}, which ended without .* code {code}") as lost:
        _ = seen.python

    assert "Python 2" in lost.value.hint


def test_a_python_of_kedge_toml_that_is_not_there_is_named(tmp_path: Path) -> None:
    seen = probe_board(LocalTransport(), str(tmp_path / "root"), "a" * 64, "/nope/python")
    with pytest.raises(NoPythonError, match="names the Python /nope/python") as refused:
        _ = seen.python
    assert "Correct `python`" in refused.value.hint


def test_a_python_that_may_not_run_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bin"
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("sh", "cat", "uname", "dirname", "df", "awk", "readlink"):
        (tools / tool).symlink_to(shutil.which(tool) or "/none")
    script = probe_script._SCRIPT.replace("/usr/local/bin:/usr/bin:/bin", "/none")
    monkeypatch.setattr(probe_script, "_SCRIPT", script)
    with small_disk(folder, "noexec,size=1m"):
        (folder / "python3").write_text("#!/bin/sh\n")
        (folder / "python3").chmod(0o755)
        with monkeypatch.context() as board:
            board.setenv("PATH", f"{folder}:{tools}")
            seen = probe_board(LocalTransport(), str(tmp_path / "root"), "a" * 64)
    with pytest.raises(NoPythonError, match="permission denied") as refused:
        _ = seen.python

    assert f"{folder}/python3" in str(refused.value)
    assert "SELinux" in refused.value.hint
    assert files_below(tmp_path / "root") == []
