"""What the command line promises: instant help, exit codes, messages that teach."""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from tests.kedge import assert_refused, kedge
from tests.stateful_model import counter_model
from tests.tiny_model import custom_op_model, relu_model
from toolkit.cli.main import COMMANDS
from toolkit.cli.options import ShareRange, Streams, Threads

HEAVY = ("tensorflow", "tf_keras", "keras", "paramiko", "scipy", "numpy", "ai_edge_litert")


def imported(*arguments: str) -> set[str]:
    """The top-level modules that a command loads."""
    command = [sys.executable, "-X", "importtime", "-m", "toolkit.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("bench", "--help")])
def test_help_loads_nothing_heavy(arguments: tuple[str, ...]) -> None:
    loaded = imported(*arguments)
    assert "click" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_a_list_of_targets_loads_neither_tensorflow_nor_paramiko(tmp_path: Path) -> None:
    (tmp_path / "kedge.toml").write_text("")
    code = (
        "import sys, toolkit.cli.main as m; code = m.run_command_line(['target', 'list']); "
        "assert code == 0; print(sorted(x for x in sys.modules if '.' not in x))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    modules = set(done.stdout.replace("'", "").strip(" []\n").split(", "))
    assert modules.isdisjoint({"tensorflow", "paramiko", "scipy"})


def commands() -> list[tuple[str, click.Command]]:
    """All that a person may type, those of groups too."""
    found = [(name, import_module(module).command) for name, (module, _) in COMMANDS.items()]
    for group, command in list(found):
        found += [
            (f"{group} {name}", one) for name, one in getattr(command, "commands", {}).items()
        ]
    return found


#: Commands that have more than twelve options (docs/decisions.md says why).
MOST_OPTIONS = {"bench": 13, "convert": 13}


@pytest.mark.parametrize(("name", "command"), commands())
def test_every_command_has_an_example_and_at_most_twelve_options(
    name: str, command: click.Command
) -> None:
    context = click.Context(command, info_name=f"kedge {name}")
    text = command.get_help(context)
    options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]

    assert f"kedge {name}" in text.partition("Usage:")[2].partition("\n")[2]
    assert len(options) <= MOST_OPTIONS.get(name, 12)


def test_wrong_usage_exits_with_2(tmp_path: Path) -> None:
    for arguments in (
        ["nonsense"],
        ["bench"],
        ["bench", "m.tflite", "--on", "x", "--threads", "0"],
    ):
        assert kedge(*arguments, cwd=tmp_path).code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["compare", "a.tflite", "b.tflite", "--on", "x", "--max-regression", "nan"],
        ["compare", "a.tflite", "b.tflite", "--on", "x", "--max-regression", "much%"],
        ["compare", "a.tflite", "b.tflite", "--on", "x", "--max-regression", "-1%"],
        ["bench", "m.tflite", "--on", "x", "--rate", "nan"],
        ["convert", "m.h5", "--data", "d.npz", "--out", "out", "--max-drop", "100%"],
    ],
)
def test_what_is_no_number_or_out_of_bounds_is_wrong_usage(
    arguments: list[str], tmp_path: Path
) -> None:
    ran = kedge(*arguments, cwd=tmp_path)
    assert ran.code == 2
    assert arguments[-2] in ran.err


_SHARES = [
    *(("0.05", 0.05), ("5%", 0.05), (" 2.5 %", 0.025), ("1e-2", 0.01), (".5%", 0.005)),
    *(("5.e-1%", 0.005), ("+5%", 0.05), ("150%", 1.5), ("0%", 0.0), ("-0", 0.0)),
]


@pytest.mark.parametrize(("text", "share"), _SHARES)
def test_a_share_is_written_as_a_fraction_or_in_percent(text: str, share: float) -> None:
    assert ShareRange(0, 10).convert(text, None, None) == pytest.approx(share)


@pytest.mark.parametrize(
    "text",
    ["5%%", "1_0%", "٥%", "²", "½", "5‰", "inf", "inf%", "nan%", "%", "", "5 percent", "5,5%"],
)
def test_what_is_no_share_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"is not a share such as 0\.05 or 5%"):
        ShareRange(0, 10).convert(text, None, None)


@pytest.mark.parametrize("text", ["5", "1", "1.0", "5e0", "10"])
def test_a_percentage_without_its_sign_is_refused_with_the_right_spelling(text: str) -> None:
    with pytest.raises(click.BadParameter, match=f"write {text}% for {text} %"):
        ShareRange(0, 10).convert(text, None, None)


@pytest.mark.parametrize("text", ["²", "٣", "9" * 5000, "0", "257", "1.5", "-1", ""])
def test_what_is_no_number_of_threads_is_refused(text: str) -> None:
    for kind in (Threads(), Streams()):
        with pytest.raises(click.BadParameter, match="from 1 to"):
            kind.convert(text, None, None)


@pytest.mark.parametrize("duration", ["0s", "-1s", "2h", "soon"])
def test_a_wrong_duration_is_wrong_usage(duration: str, tmp_path: Path) -> None:
    ran = kedge("bench", "m.tflite", "--on", "x", "--duration", duration, cwd=tmp_path)
    assert ran.code == 2
    assert "duration" in ran.err


def test_a_project_without_boards_says_how_to_add_one(tmp_path: Path) -> None:
    ran = kedge("push", "m.tflite", "--to", "pi", cwd=tmp_path)
    assert_refused(ran, 3, "kedge.toml", "kedge target add")


def test_an_unknown_target_names_the_known_ones(tmp_path: Path) -> None:
    assert kedge("target", "add", "here", "local", cwd=tmp_path).code == 0
    assert_refused(kedge("target", "check", "pi", cwd=tmp_path), 3, "'pi'", "here")


def test_the_inventory_is_sought_upward_and_made_in_the_current_folder(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert kedge("target", "add", "here", "local", cwd=tmp_path).code == 0
    listed = kedge("target", "list", "--json", cwd=below).json
    assert [entry["name"] for entry in listed["targets"]] == ["here"]
    assert not (below / "kedge.toml").exists()


def test_labels_are_kept(tmp_path: Path) -> None:
    labels = ["--label", "room=lab", "--label", "kind=pi4"]
    assert kedge("target", "add", "here", "local", *labels, cwd=tmp_path).code == 0
    entry = kedge("target", "list", "--json", cwd=tmp_path).json["targets"][0]
    assert entry["labels"] == {"room": "lab", "kind": "pi4"}
    assert kedge("target", "add", "x", "local", "--label", "nonsense", cwd=tmp_path).code == 2


def test_a_taken_name_is_refused(tmp_path: Path) -> None:
    assert kedge("target", "add", "here", "local", cwd=tmp_path).code == 0
    assert_refused(kedge("target", "add", "here", "local", cwd=tmp_path), 3, "already")


def test_this_computer_takes_no_host_key(tmp_path: Path) -> None:
    ran = kedge("target", "add", "here", "local", "--host-key", "SHA256:x", cwd=tmp_path)
    assert_refused(ran, 3, "without SSH")
    assert not (tmp_path / "kedge.toml").exists()


def test_a_host_that_is_down_leaves_no_trace(tmp_path: Path) -> None:
    ran = kedge("target", "add", "pi", "pi@127.0.0.1:1", cwd=tmp_path)
    assert_refused(ran, 6, "127.0.0.1", "port 1")
    assert not (tmp_path / "kedge.toml").exists()


def test_removing_a_target_spares_the_files_of_another_on_the_same_board(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (tmp_path / "model.tflite").write_bytes(relu_model())
    for name in ("one", "two"):
        add = ("target", "add", name, "local", "--root", str(root))
        assert kedge(*add, cwd=tmp_path).code == 0
    assert kedge("push", "model.tflite", "--to", "one", cwd=tmp_path).code == 0
    before = sorted(root.rglob("*"))

    ran = kedge("target", "remove", "two", cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert "its files on the board stay: one uses them, too" in ran.out
    assert sorted(root.rglob("*")) == before
    assert kedge("target", "remove", "one", cwd=tmp_path).code == 0
    assert not root.exists()


def test_forgetting_a_board_does_not_need_it(tmp_path: Path) -> None:
    entry = '# my boards\n[targets.gone]\naddress = "pi@127.0.0.1:1"\nhost_key = "SHA256:{}"\n'
    (tmp_path / "kedge.toml").write_text(entry.format("A" * 43))
    assert_refused(kedge("target", "remove", "gone", cwd=tmp_path), 6, "127.0.0.1")
    assert kedge("target", "remove", "gone", "--forget", cwd=tmp_path).code == 0
    assert "# my boards" in (tmp_path / "kedge.toml").read_text()


@pytest.mark.parametrize(
    "command", [["inspect"], ["push", "--to", "here"], ["bench", "--on", "here"]]
)
def test_a_file_that_is_no_model_is_refused(command: list[str], tmp_path: Path) -> None:
    assert kedge("target", "add", "here", "local", cwd=tmp_path).code == 0
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0 no model at all")
    ran = kedge(command[0], "photo.jpg", *command[1:], cwd=tmp_path)
    assert_refused(ran, 4, "photo.jpg")
    ran = kedge(command[0], "missing.tflite", *command[1:], cwd=tmp_path)
    assert_refused(ran, 4, "missing.tflite")
    os.mkfifo(tmp_path / "pipe.tflite")  # nobody ever writes into it
    ran = kedge(command[0], "pipe.tflite", *command[1:], cwd=tmp_path)
    assert_refused(ran, 4, "pipe.tflite", "no regular file")


def test_a_model_with_an_op_of_its_own_is_told_what_to_do_about_it(tmp_path: Path) -> None:
    add = ["target", "add", "here", "local", "--root", str(tmp_path / "root")]
    assert kedge(*add, cwd=tmp_path).code == 0
    (tmp_path / "custom.tflite").write_bytes(custom_op_model())
    ran = kedge("bench", "custom.tflite", "--on", "here", cwd=tmp_path)
    assert_refused(ran, 4, "their-own is a custom op", "TensorFlow Lite's own ops")
    assert "newer" not in ran.err


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m toolkit.cli --help | head -1",
        shell=True, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("Usage")
    assert done.stderr == ""


def test_a_bug_shows_its_traceback_and_exits_with_1(tmp_path: Path) -> None:
    code = (
        "import sys, toolkit.cli.main as m\n"
        "m.COMMANDS['bug'] = ('tests.toolkit.cli.broken_command', '')\n"
        "sys.exit(m.run_command_line(['bug']))"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert "bug in kedge" in done.stderr


def test_inspect_names_operators_that_no_wheel_brings(tmp_path: Path) -> None:
    (tmp_path / "custom.tflite").write_bytes(custom_op_model())
    ran = kedge("inspect", "custom.tflite", cwd=tmp_path)
    assert "needs a delegate or a runtime that brings" in ran.out
    assert "version 0" not in ran.out
    found = json.loads(kedge("inspect", "custom.tflite", "--json", cwd=tmp_path).out)
    assert len(found["foreign_operators"]) == 1
    assert found["foreign_operators"][0] in ran.out


def test_inspect_says_what_a_file_has_and_lacks(tmp_path: Path) -> None:
    (tmp_path / "counter.tflite").write_bytes(counter_model())
    ran = kedge("inspect", "counter.tflite", cwd=tmp_path)
    assert "subgraphs: 2; kedge runs the first" in ran.out
    assert "keeps a state from one inference to the next" in ran.out
    assert "has no inputs" not in ran.out


def test_inspect_as_json_is_one_document(tmp_path: Path) -> None:
    (tmp_path / "tiny.tflite").write_bytes(relu_model())
    found = json.loads(kedge("inspect", "tiny.tflite", "--json", cwd=tmp_path).out)
    assert found["schema"] == 1
    assert found["inputs"][0]["dtype"] == "int8"
    assert found["minimum_runtime"]["version"]
    assert found["sha256"]
