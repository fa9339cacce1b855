"""Which `kedge.toml` is trusted, and which programs it may name."""

import os
import stat
from pathlib import Path

import pytest

from targets.entry_checks import InventoryError
from targets.inventory import Inventory
from tests.kedge import assert_refused, kedge
from toolkit.project import conversion_cache

NOBODY = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


def write(folder: Path, *lines: str) -> Path:
    file = folder / "kedge.toml"
    entry = ["[targets.pi]", 'address = "local"', f'root = "{folder}/root"', *lines]
    file.write_text("\n".join(entry) + "\n")
    return file


@as_root
@pytest.mark.parametrize("command", [("target", "list"), ("target", "check", "pi")])
def test_a_file_of_another_user_is_refused_wherever_it_is(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    os.chown(write(tmp_path), NOBODY, NOBODY)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)

    for cwd in (tmp_path, below):
        ran = kedge(*command, cwd=cwd)
        assert_refused(
            ran, 3, f"{tmp_path}/kedge.toml belongs to nobody", "expected root:", "chown 0"
        )


@as_root
def test_a_file_of_another_user_is_not_added_to(tmp_path: Path) -> None:
    file = write(tmp_path)
    os.chown(file, NOBODY, NOBODY)
    before = file.read_bytes()
    ran = kedge("target", "add", "new", "local", cwd=tmp_path)

    assert_refused(ran, 3, "belongs to nobody")
    assert file.read_bytes() == before


@as_root
def test_a_link_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    link = tmp_path / "kedge.toml"
    link.symlink_to(write(tmp_path / "own"))
    Inventory(link)
    os.lchown(link, NOBODY, NOBODY)

    with pytest.raises(InventoryError, match="belongs to nobody"):
        Inventory(link)


@as_root
def test_a_link_to_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    os.chown(write(tmp_path / "other"), NOBODY, NOBODY)
    (tmp_path / "kedge.toml").symlink_to(tmp_path / "other" / "kedge.toml")

    with pytest.raises(InventoryError, match="belongs to nobody"):
        Inventory(tmp_path / "kedge.toml")


@as_root
def test_sudo_trusts_who_called_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path)
    os.chown(file, NOBODY, NOBODY)
    monkeypatch.setenv("SUDO_UID", str(NOBODY))
    assert Inventory(file).get("pi").is_local

    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(InventoryError, match="expected uid 4711 or root"):
        Inventory(file)


@as_root
def test_a_file_of_root_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: NOBODY)

    assert Inventory(file).get("pi").is_local


@as_root
def test_a_conversion_passes_over_a_project_of_another_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    file = write(tmp_path)
    assert conversion_cache(tmp_path) == tmp_path / ".kedge/cache/conversions"
    os.chown(file, NOBODY, NOBODY)

    assert conversion_cache(tmp_path) == tmp_path / "caches/kedge/conversions"


PROJECT_PROGRAMS = (
    "/proc/self/cwd/tools/py",
    "//proc/self/cwd/tools/py",
    "/usr/../proc/self/cwd/tools/py",
    "/proc/self/root{project}/tools/py",
    "/proc/thread-self/cwd/tools/py",
    "/dev/fd/0",
    "{project}/tools/py",
    "{project}/./sub/../tools/py",
    "{project}/link/python",
    "{outside}/into-the-project",
    "{project}-link/tools/py",
    "{repository}/tools/py",
)


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    """A repository, in which a folder is the project, and a folder beside the repository."""
    project, outside = tmp_path / "repository" / "project", tmp_path / "outside"
    for folder in (project / "tools", project / "sub", outside, tmp_path / "repository/tools"):
        folder.mkdir(parents=True)
    (tmp_path / "repository" / ".git").mkdir()
    for program in (project / "tools/py", outside / "py", tmp_path / "repository/tools/py"):
        program.write_text(f"#!/bin/sh\ntouch {tmp_path}/RAN\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (project / "link").symlink_to("/usr/bin")
    (project.parent / "project-link").symlink_to(project)
    (outside / "into-the-project").symlink_to(project / "tools/py")
    return {"project": project, "outside": outside, "repository": tmp_path / "repository"}


@pytest.mark.parametrize("key", ["python", "delegate"])
@pytest.mark.parametrize("program", PROJECT_PROGRAMS)
def test_a_program_of_the_project_is_refused_on_this_computer(
    places: dict[str, Path], key: str, program: str
) -> None:
    file = write(places["project"], f'{key} = "{program.format(**places)}"')

    with pytest.raises(InventoryError, match=f"{key} .* comes with a project") as refused:
        _ = Inventory(file).targets
    assert "outside of the project" in refused.value.hint


@pytest.mark.parametrize("root", ["/proc/self/cwd/board", "//proc/self/cwd", "/dev/fd/3/x"])
def test_a_root_that_is_another_folder_for_each_process_is_refused(
    tmp_path: Path, root: str
) -> None:
    entry = f'[targets.pi]\naddress = "local"\nroot = "{root}"\n'
    (tmp_path / "kedge.toml").write_text(entry)

    with pytest.raises(InventoryError, match="another folder for each process"):
        _ = Inventory(tmp_path / "kedge.toml").targets


def test_a_check_runs_no_program_of_the_project(places: dict[str, Path], tmp_path: Path) -> None:
    write(places["project"], 'python = "/proc/self/cwd/tools/py"')
    for command in (("target", "check", "pi"), ("target", "list")):
        assert_refused(kedge(*command, cwd=places["project"]), 3, "python", "/proc")
    assert not (tmp_path / "RAN").exists()


def test_a_program_outside_of_the_project_is_used(places: dict[str, Path]) -> None:
    lines = [f'python = "{places["outside"]}/py"', 'delegate = "/usr/lib/libdelegate.so"']
    target = Inventory(write(places["project"], *lines)).get("pi")

    assert target.execution.python == f"{places['outside']}/py"


def test_the_edge_tpu_is_no_path(places: dict[str, Path]) -> None:
    file = write(places["project"], 'delegate = "edgetpu"')

    assert Inventory(file).get("pi").execution.drives_edgetpu


def test_a_project_in_the_home_may_name_what_is_in_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".git").mkdir()  # some keep their start files in a repository
    file = write(tmp_path, f'python = "{tmp_path}/venv/bin/python"')

    assert Inventory(file).get("pi").execution.python == f"{tmp_path}/venv/bin/python"


def test_a_board_over_ssh_may_name_any_path(tmp_path: Path) -> None:
    (tmp_path / "kedge.toml").write_text(
        f'[targets.pi]\naddress = "pi@10.0.0.1"\nhost_key = "SHA256:{"A" * 43}"\n'
        f'host_key_type = "ssh-ed25519"\npython = "{tmp_path}/venv/bin/python"\n'
    )
    assert Inventory(tmp_path / "kedge.toml").get("pi").execution.python
