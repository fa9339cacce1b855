"""The tab key completes names of targets and recipes, in real shells."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kedge import kedge

#: What each shell does when the tab key is pressed behind a line; it prints the candidates.
SHELLS = {
    "bash": """
eval "$(_KEDGE_COMPLETE=bash_source kedge)"
read -ra COMP_WORDS <<< "$1"
case "$1" in *" ") COMP_WORDS+=("") ;; esac
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_kedge_completion kedge
printf '%s\\n' "${COMPREPLY[@]}"
""",
    "fish": """
_KEDGE_COMPLETE=fish_source kedge | source
complete -C "$argv[1]"
""",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    for name in ("attic", "porch"):
        assert kedge("target", "add", name, "local", cwd=folder).code == 0
    program = folder / "bin" / "kedge"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m toolkit.cli "$@"\n')
    program.chmod(0o755)
    return folder


def complete(shell: str, line: str, project: Path) -> set[str]:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell}")
    script = project / f"complete.{shell}"
    script.write_text(SHELLS[shell])
    done = subprocess.run(
        [program, str(script), line],
        cwd=project,
        env={"PATH": f"{project / 'bin'}:/usr/bin:/bin", "HOME": str(project)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stderr == ""
    return set(done.stdout.split())


@pytest.mark.parametrize("shell", sorted(SHELLS))
@pytest.mark.parametrize(
    ("line", "candidates"),
    [
        ("kedge target check ", {"attic", "porch"}),
        ("kedge bench m.tflite --on p", {"porch"}),
        ("kedge push m.tflite --to porch,", {"porch,attic"}),
        ("kedge --debug fleet status --on a", {"attic"}),
        ("kedge convert m.h5 --recipe mixed", {"mixed_w8a8"}),
        ("kedge recipes show float", {"float32"}),
        ("kedge conv", {"convert", "convert-and-push"}),
    ],
)
def test_the_tab_key_completes(shell: str, line: str, candidates: set[str], project: Path) -> None:
    if shell == "fish" and line.endswith(","):
        pytest.skip("fish completes no word that ends with a comma")
    words = complete(shell, line, project)

    assert candidates <= words
    assert not (words - candidates) & {"attic", "porch", "ptq_w8a8", "bench"}


def test_a_broken_project_completes_nothing_and_says_nothing(project: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").symlink_to(project / "bin")
    (tmp_path / "kedge.toml").write_text("[targets")

    assert complete("bash", "kedge target check ", tmp_path) == set()
