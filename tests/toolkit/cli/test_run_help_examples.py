"""The examples in the help of the commands do what they say, in projects that have their names.

Those that convert a model or measure for long run in tests/examples/test_long_help_examples.py.
"""

from __future__ import annotations

import io
import json
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import tomllib

from tests.toolkit.cli.help_projects import (
    LONG,
    loopback_boards,
    reachable_names,
    start_rollout,
    write_lists,
    write_models,
    write_results,
)
from tests.toolkit.cli.test_help_examples import commands, examples
from tests.toolkit.cli.test_search_commands import SEARCH, Converter, converter
from toolkit.bundle.bundle_file import read_bundle
from toolkit.cli.main import kedge, run_command_line

__all__ = ["converter"]

#: Exit codes that an example may have beside 0, by how it begins: a latency that cannot be trusted,
#: boards that do not go back by themselves after a reboot, a computer that has not everything.
OTHER_CODES = {
    "bench": (9,), "compare": (8, 9), "fleet plan": (8,), "fleet rollout": (8,),
    "fleet resume 12": (8,), "doctor": (3,),
}  # fmt: skip

RESULTS = """
results note 12 "with the new heat sink"
results note c3 ""
results tag 12 baseline release-7
results list --on pi
results list --tag release-7
results show 12
results show c3
results export 12 result12.json
results export --csv results.csv
results export 12 13 c3 --markdown -
report out/ --out report.html
report 12 13 c3
report --tag baseline --since 2026-11-01
compare 12 15
results tag c3 baseline --remove
results delete 12 13 c3
"""
NEW_BOARDS = """
target add pi pi@raspberrypi --label room=lab
target add pi4 pi4
target add far pi@10.0.0.7 --jump me@bastion
target add here local
target import boards.csv
target import inventory.yml --known-hosts fleet_known_hosts --board raspberry-pi-4
target import hosts.ini --dry-run --json
"""
THIS_COMPUTER = """
init
init --board here=local
recipes show ptq_w8a8
doctor
doctor --json
inspect model.tflite
inspect model.onnx
inspect model.tflite --board coral-dev-board
inspect model.tflite --runtime tflite-runtime==2.14
inspect model.tflite --json
inspect int8/model.tflite --against float/model.tflite --data data.npz
bundle consumer cats --language cpp
"""
WITH_NEW_BOARD = "init --model model.h5 --data data.npz --board pi=pi@raspberrypi.local"
SEARCHES = """
search show search
search show search --json
search export search 1 --out fastest
search export search --trial 17 --out trial17
search resume search
search resume search --for 8h --trials 200
report search/ --out search.html
"""
#: Examples in an order in which each finds what it needs.
BOARDS = """
target list
target list --status --json
target check pi
target check pi --json
target rekey pi
target rekey pi --host-key SHA256:W0N/cB8TkwzxYp0mVdz3m9e9oHcLQqyrT4RWgTH6yzE
inspect model.tflite --for pi
inspect model.tflite --on pi
push out/model.tflite --to pi
push out/model.tflite --to room=lab
run out/model.tflite --on pi --input x_test.npy --save-outputs y.npz --json
run out/model.tflite --on pi --input cat.jpg --input dog.png
target set pi address=pi@10.0.0.9 label.room=lab
target set pi jump=
target set pi hooks=true
target rename pi kitchen
NEW PROJECT
target remove pi
NEW PROJECT
target remove pi --forget
NEW PROJECT
target remove pi --with-releases
NEW PROJECT
target trust pi
target trust pi lab1 --signers allowed_signers
LOSE .kedge/trust
target trust pi --adopt
NEW PROJECT
target trust room=lab --signers allowed_signers --threshold 2
target trust room=lab --signers new_signers --sign ~/.ssh/id_ed25519 --sign backup_key
"""
#: Examples about releases in one project. INTERRUPT begins a rollout, whose number 12 stands for.
RELEASES = """
bundle build out --name cats --out cats.bundle --sign ~/.ssh/id_ed25519
bundle build out out/model_edgetpu.tflite thresholds.json --name cats --out cats.bundle
bundle build out --name cats --out cats.bundle --settings cats.toml --expires 2027-12-31
bundle show cats.bundle
bundle show cats.bundle --bom cats.cdx.json
bundle sign cats.bundle --sign ~/.ssh/id_ed25519
bundle verify cats.bundle
SIGN cats.bundle
bundle verify cats.bundle --signers release_signers --threshold 2
fleet plan detector.bundle --to site=north
fleet plan detector.bundle --to site=north --policy careful.toml --json
fleet rollout detector.bundle --to site=north --sign ~/.ssh/id_ed25519
fleet rollout detector.bundle --to site=north --policy careful.toml --sign key --json
fleet rollout detector.bundle --to site=north --sign key --report rollout.html
fleet status
fleet status --json
fleet status --metrics
fleet history
fleet history --on camera7 --json
fleet check
fleet check --on site=north --rate 1%
fleet journal backup /mnt/backup/fleet-x.db
fleet journal restore /mnt/backup/fleet-2026-11-30.db
INTERRUPT second
report --rollout 3 --out rollout3.html
fleet history 12
fleet pause
fleet resume
INTERRUPT third
fleet pause 12 --reason "wait for the weekend"
fleet resume 12 --without camera7,camera9
INTERRUPT fourth
fleet stop
INTERRUPT fifth
fleet stop 12 --reason "wrong labels"
fleet rollback --sign ~/.ssh/id_ed25519
fleet rollback detector --release 4f2a --to site=north --sign ~/.ssh/id_ed25519
LOSE .kedge/fleet.db
fleet journal rebuild
LOSE .kedge/fleet.db
fleet journal rebuild --on site=north
"""
#: Fingerprint of an example.
KEY = "SHA256:W0N/cB8TkwzxYp0mVdz3m9e9oHcLQqyrT4RWgTH6yzE"
ENDLESS = """
fleet status --on site=north --watch
fleet check --every 1h --json
"""

Run = Callable[..., str]


def lines(text: str) -> list[str]:
    return text.strip().splitlines()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs an example in a folder, with other words where a project cannot have the example's, and
    states its exit code; returns what it wrote."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run_example(line: str, folder: Path, other_words: Mapping[str, str] | None = None) -> str:
        monkeypatch.chdir(folder)
        monkeypatch.setenv("HOME", str(folder / "home"))
        monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 9))  # whoever is asked agrees
        words = [
            (other_words or {}).get(word, str(Path(word).expanduser()))
            for word in shlex.split(line)
        ]
        code = run_command_line(words)
        shown = capfd.readouterr()
        others = next((codes for begin, codes in OTHER_CODES.items() if line.startswith(begin)), ())
        assert code in (0, *others), f"{line}: {code}: {shown.err}"
        if "--json" in words:
            assert_json(shown.out)
        return shown.out

    return run_example


def test_examples_about_results_and_conversions(run: Run, tmp_path: Path) -> None:
    write_results(tmp_path)
    said = {line: run(line, tmp_path) for line in lines(RESULTS)}
    assert "with the new heat sink" in said["results show 12"]
    assert "baseline" in said["results list --tag release-7"]
    assert "<svg" in (tmp_path / "report.html").read_text()
    assert (tmp_path / "results.csv").read_text().count("pi,model.tflite") == 15


def test_examples_about_new_boards(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = tmp_path / "begin"
    begin.mkdir()
    write_models(begin)
    write_lists(tmp_path)
    with reachable_names(tmp_path) as config:
        monkeypatch.setenv("KEDGE_SSH_CONFIG", str(config))
        run(WITH_NEW_BOARD, begin)
        for line in lines(NEW_BOARDS):
            run(line, tmp_path)
    added = tomllib.loads((tmp_path / "kedge.toml").read_text())["targets"]
    assert set(added) == {"pi", "pi4", "far", "here", "door", "gate"}
    assert added["far"]["jump"] == "me@bastion"
    assert tomllib.loads((begin / "kedge.toml").read_text())["targets"]["pi"]["host_key"]


def test_examples_about_this_computer(run: Run, tmp_path: Path) -> None:
    for number, line in enumerate(lines(THIS_COMPUTER)):
        folder = tmp_path / str(number)
        folder.mkdir()
        write_models(folder)
        run(line, folder)


def test_examples_about_searches(run: Run, converter: Converter, tmp_path: Path) -> None:
    del converter
    run(shlex.join([*SEARCH, "--out", "search"]), tmp_path)
    for line in lines(SEARCHES):
        run(line, tmp_path, {"17": "2", "200": "6"})
    for name in ("fastest", "trial17"):
        assert (tmp_path / name / "recipe.toml").is_file()


def test_examples_about_boards(run: Run, tmp_path: Path) -> None:
    with loopback_boards(tmp_path) as new_project:
        fleet = new_project()
        fingerprint = str(fleet.server.host_key_fingerprint)
        for line in lines(BOARDS):
            if line == "NEW PROJECT":
                fleet = new_project()
            elif line.startswith("LOSE"):
                remove(fleet.folder / line.split()[1])
            elif "cat.jpg" in line:
                run(line, fleet.folder, {"out/model.tflite": "pictures/model.tflite"})
            else:
                run(line, fleet.folder, {KEY: fingerprint})


def test_examples_about_releases(run: Run, tmp_path: Path) -> None:
    with loopback_boards(tmp_path) as new_project:
        fleet = new_project()
        fleet.run("target", "trust", *fleet.names, "--signers", "signers")
        first = read_bundle(fleet.folder / "detector.bundle").digest
        words = {"4f2a": first[:8]}
        for name in ("fleet-x.db", "fleet-2026-11-30.db"):
            words[f"/mnt/backup/{name}"] = str(fleet.folder / "backup/fleet.db")
        for line in lines(RELEASES):
            begin, _, rest = line.partition(" ")
            if begin == "INTERRUPT":
                words["12"] = words["3"] = start_rollout(fleet, rest)
            elif begin == "LOSE":
                remove(fleet.folder / rest)
            elif begin == "SIGN":
                run("bundle sign cats.bundle --sign backup_key", fleet.folder)
            else:
                run(line, fleet.folder, words)
        for line in lines(ENDLESS):
            assert interrupt(line, fleet.folder)


def interrupt(line: str, folder: Path) -> str:
    """Run a command without end until its first line, then end it by Ctrl-C; return the line."""
    command = [sys.executable, "-m", "toolkit.cli", *shlex.split(line)]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode in (0, 130)
    return first


def assert_json(text: str) -> None:
    """State that a text is one JSON value, or one a line."""
    try:
        json.loads(text)
    except ValueError:
        assert all(json.loads(line) for line in lines(text))


def remove(path: Path) -> None:
    for each in path.parent.glob(f"{path.name}*"):
        shutil.rmtree(each) if each.is_dir() else each.unlink()


def test_every_example_is_run() -> None:
    groups = (
        RESULTS,
        NEW_BOARDS,
        THIS_COMPUTER,
        WITH_NEW_BOARD,
        SEARCHES,
        BOARDS,
        RELEASES,
        ENDLESS,
        LONG,
    )
    run_here = {tuple(shlex.split(line)) for group in groups for line in lines(group)}
    in_help = {tuple(words) for path in commands(kedge) for words in examples(path)}
    assert in_help - run_here == set()
