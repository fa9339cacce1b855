"""What is printed arrives whole, or the command says why not; a reader may leave early."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kedge import kedge
from tests.tiny_model import relu_model

KEDGE = f"{sys.executable} -m toolkit.cli"
BENCH = f"{KEDGE} bench model.tflite --on here --quality quick --duration 50ms"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "model.tflite").write_bytes(relu_model())
    add = ["target", "add", "here", "local", "--root", str(folder / "root")]
    assert kedge(*add, cwd=folder).code == 0
    return folder


def shell(line: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line],
        cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def results(project: Path) -> int:
    return len(kedge("results", "list", "--json", cwd=project).json["results"])


@pytest.mark.parametrize("ending", ["| true", ">&-", "2>&-"])
def test_a_measurement_that_nobody_reads_is_kept_and_has_its_exit_code(
    ending: str, project: Path
) -> None:
    before = results(project)
    done = shell(f"{BENCH} {ending}; exit ${{PIPESTATUS[0]}}", project)

    assert done.returncode in (0, 9), done.stderr
    assert "Traceback" not in done.stderr
    assert results(project) == before + 1


def test_a_table_whose_reader_left_ends_nothing() -> None:
    code = (
        "import os; from toolkit.cli import output\n"
        "reader, writer = os.pipe()\n"
        "os.dup2(writer, 1); os.close(writer); os.close(reader)\n"
        "output.table('', ['figure'], [['1 us']])\n"
        "output.note('went on')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "went on\n")


@pytest.mark.parametrize("command", ["target list", "recipes", "--help", "bench --help"])
def test_a_full_disk_is_named_by_every_command(command: str, project: Path) -> None:
    done = shell(f"{KEDGE} {command} > /dev/full", project)

    assert done.returncode == 6
    assert "error: the result cannot be written: No space left on device" in done.stderr


def test_a_full_disk_behind_standard_output_is_told_and_the_result_kept(project: Path) -> None:
    before = results(project)
    done = shell(f"{BENCH} > /dev/full", project)

    assert done.returncode == 6
    assert "error: the result cannot be written: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert results(project) == before + 1


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_no_figure_is_cut_off_on_a_terminal_of_any_width(columns: int, project: Path) -> None:
    if not results(project):
        assert shell(BENCH, project).returncode in (0, 9)
    line = f"{KEDGE} results show 1; {KEDGE} inspect model.tflite"
    seen = shell(f"script -qec '{line}' /dev/null", project, COLUMNS=str(columns)).stdout

    assert "…" not in seen
    assert (
        f"sha256 {kedge('inspect', 'model.tflite', '--json', cwd=project).json['sha256']}" in seen
    )
    assert "largest seen" in seen


def test_no_color_is_honoured(tmp_path: Path) -> None:
    line = f"script -qec '{KEDGE} push m.tflite --to x' /dev/null"

    assert "\x1b[31m" in shell(line, tmp_path).stdout
    assert "\x1b[" not in shell(line, tmp_path, NO_COLOR="1").stdout


@pytest.mark.parametrize("option", ["-q", "--quiet"])
def test_quiet_shows_no_progress_wherever_it_stands(option: str, project: Path) -> None:
    loud = shell(BENCH, project)
    quiet = shell(f"{BENCH} {option}", project)
    early = shell(BENCH.replace("bench", f"{option} bench", 1), project)

    assert "· measure with 1 thread" in loud.stderr
    for done in (quiet, early):
        assert "·" not in done.stderr
        assert "kept as result" in done.stderr
        assert done.stdout


def test_v_is_debug_and_nothing_behind_two_dashes_is_an_option(project: Path) -> None:
    assert "paramiko" in shell(f"{KEDGE} target list -v", project).stderr
    behind = shell(f"{KEDGE} inspect -- -v", project)
    assert behind.returncode == 4
    assert "paramiko" not in behind.stderr
    assert "-v" in behind.stderr
