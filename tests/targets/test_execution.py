"""What an entry of kedge.toml says of how models are executed: read, written, refused."""

from pathlib import Path

import pytest

from targets.execution import Execution, ExecutionError
from targets.inventory import Inventory, Target

WRITTEN = Execution(
    runtime="board:tflite-runtime",
    python="/opt/venv/bin/python",
    delegate="/usr/lib/libvx_delegate.so",
    threads=4,
    cores=(4, 5, 6, 7),
)


def inventory(folder: Path, entry: str) -> Inventory:
    path = folder / "kedge.toml"
    path.write_text(f'[targets.pi]\naddress = "local"\n{entry}\n')
    return Inventory(path)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    inventory(tmp_path, "# mine\nroot = '/srv/kedge'").set_execution("pi", WRITTEN)
    text = (tmp_path / "kedge.toml").read_text()

    assert Inventory(tmp_path / "kedge.toml").get("pi").execution == WRITTEN
    assert "# mine" in text
    assert "/srv/kedge" in text
    assert "allow_cpu" not in text


def test_what_is_not_given_any_more_leaves_the_file(tmp_path: Path) -> None:
    found = inventory(tmp_path, 'threads = 4\ncores = [0]\ndelegate = "edgetpu"\nallow_cpu = true')
    found.set_execution("pi", Execution(runtime="ai-edge-litert"))

    assert Inventory(found.path).get("pi").execution == Execution(runtime="ai-edge-litert")
    assert "cores" not in found.path.read_text()


def test_an_entry_that_says_nothing_leaves_all_to_kedge(tmp_path: Path) -> None:
    assert inventory(tmp_path, "").get("pi") == Target("pi", "local")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('runtime = "onnx"', "there is no runtime 'onnx'"),
        ('runtime = "board:tflite-runtime 2.5"', "there is no runtime 'board:tflite-runtime 2.5'"),
        ("runtime = 2", "runtime must be a string"),
        ('delegate = "coral"', "delegate must be 'edgetpu', the absolute path"),
        ('python = "python3"', "python must be an absolute path"),
        ('allow_cpu = "yes"', "allow_cpu must be true or false"),
        ("threads = 0", "threads must be 1 to 1024"),
        ("threads = true", "threads must be 1 to 1024"),
        ('cores = "big"', "cores must be a list of core numbers"),
        ("cores = [-1]", "cores must be a list of core numbers"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, entry: str, said: str) -> None:
    with pytest.raises(ExecutionError) as refused:
        _ = inventory(tmp_path, entry).targets

    assert said in str(refused.value)
    assert "kedge.toml: [targets.pi]" in str(refused.value)
    assert refused.value.exit_code == 3
