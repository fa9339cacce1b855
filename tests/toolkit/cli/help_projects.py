"""Projects in which the examples of the help run: what their names stand for is there."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from converters.evidence.conversion import read_conversion
from tests.accounts import Account, openssh
from tests.boards import require_board_parts
from tests.edgetpu_model import edgetpu_model
from tests.layer_pair import write_pair
from tests.onnx_models import convolution_model
from tests.tiny_model import pictures_model
from tests.toolkit.bundle.conversion_folder import write_conversion_folder
from tests.toolkit.bundle.small_bundle import make_key
from tests.toolkit.fleet.loopback_fleet import LoopbackFleet, model_of
from tests.toolkit.fleet.policies import ONE_THEN_ALL, QUICK
from tests.toolkit.measurements import measurement
from toolkit.demo.sshd import start_sshd
from toolkit.report.record import records_of_measurement
from toolkit.results.store import open_results

#: Names of the boards of the examples.
BOARDS = ("pi", "coral", "lab1", "camera7", "camera9")
#: Examples that convert a model or measure for long.
LONG = """
convert resnet8.h5 --data cifar10.tar.gz --out out
convert model.keras --data data.npz --recipe qat_w8a8 --max-drop 0.01 --out out
convert my_model:make --data my_data:load --recipe qat_w8a8 --out out
convert model.keras --data data.npz --recipe qat_w8a8 --format tflite,keras --out out
convert model.keras --data data.npz --recipe all --latency-on pi --out out
convert model.keras --data data.npz --recipe all --out out --report r.html --track mlflow
convert model.keras --data data.npz --format both --out out
convert model.keras --data data.npz --accelerator edgetpu --out out
convert-and-push resnet8.h5 --data cifar10.tar.gz --to pi
convert-and-push model.h5 --data data.npz --recipe qat_w8a8 --to pi,coral --out out
convert-and-push model.h5 --data data.npz --recipe all --max-drop 1% --to pi
target tune pi --model out/model.tflite
target tune pi --model out/model.tflite --dry-run --json
bench out/model.tflite --on pi --threads sweep --duration 10s --json
bench out/model.tflite --on pi --rate 30 --track tensorboard
bench out/model.tflite --on pi --soak 10m --profile
bench out/model.tflite --on pi --streams 1,2,4,8
bench out/model.tflite --on room=lab --quality quick --data cifar10.tar.gz --report r.html
compare old.tflite new.tflite --on pi
compare 12 new.tflite --on pi --max-regression 5% --junit compare.xml
demo
"""
#: Description of a model that takes pictures.
PICTURES = """
schema = 1
[inputs.image0]
kind = "image"
height = 8
width = 8
scale = 1.0
offset = 0.0
"""
#: Number of the highest result that an example names.
_RESULTS = 15


def write_results(folder: Path) -> None:
    """Fill a project with results of benchmarks, and with conversions."""
    (folder / "kedge.toml").write_text('[targets.pi]\naddress = "local"\n')
    samples = [[100_000 + 7 * process + sample for sample in range(60)] for process in range(9)]
    with open_results(folder) as store:
        for _ in range(_RESULTS):
            store.save(records_of_measurement(measurement(samples)))
        for name in ("first", "second", "out"):
            write_conversion_folder(folder / name, model_of(name))
            store.conversions.save([read_conversion(folder / name)])


def write_lists(folder: Path) -> None:
    """Write the lists of boards that others keep."""
    key = make_key(folder / "host").with_suffix(".pub").read_text().strip()
    known = folder / "home/.ssh/known_hosts"
    known.parent.mkdir(parents=True)
    for path in (folder / "fleet_known_hosts", known):
        path.write_text(f"door {key}\ngate {key}\nshed {key}\n")
    (folder / "boards.csv").write_text("name,address,site\ndoor,pi@door,north\n")
    (folder / "hosts.ini").write_text("[sheds]\nshed ansible_user=pi\n")
    (folder / "inventory.yml").write_text("all:\n  hosts:\n    gate:\n      ansible_user: pi\n")


@contextlib.contextmanager
def reachable_names(folder: Path) -> Iterator[Path]:
    """Start a board of the user `pi` and a jump host of the user `me`, under the examples' names.

    Yields:
        An SSH configuration that leads there.
    """
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        place.chmod(0o755)  # a server reads the keys of a user as that user
        pi, me = Account(place / "pi_home", user="pi"), Account(place / "me_home", user="me")
        board = stack.enter_context(openssh(place / "pi", pi))
        jump = stack.enter_context(openssh(place / "me", me, "AllowTcpForwarding yes"))
        lines = []
        for target, hosts in (
            (board, "raspberrypi raspberrypi.local pi4 10.0.0.7 10.0.0.9"),
            (jump, "bastion"),
        ):
            user, _, port = target.address.replace("@", ":").split(":")
            lines += [f"Host {hosts}", "  HostName 127.0.0.1", f"  Port {port}", f"  User {user}",
                      f"  IdentityFile {target.identity}"]  # fmt: skip
        (folder / "ssh_config").write_text("\n".join(lines) + "\n")
        yield folder / "ssh_config"


@contextlib.contextmanager
def loopback_boards(folder: Path) -> Iterator[Callable[[], LoopbackFleet]]:
    """Start a server of SSH.

    Yields:
        A function that makes a new project with new boards, whose trust nobody enrolled.
    """
    require_board_parts("ssh")
    with start_sshd(folder / "sshd") as server:
        numbers = iter(range(100))

        def new_project() -> LoopbackFleet:
            project = folder / f"project{next(numbers)}"
            project.mkdir()
            fleet = LoopbackFleet(project, server, dict.fromkeys(BOARDS, "good"))
            inventory = project / "kedge.toml"
            labels = "{ fleet = 'all', site = 'north', room = 'lab' }"
            inventory.write_text(inventory.read_text().replace("{ fleet = 'all' }", labels))
            write_models(project)
            _write_keys(fleet)
            fleet.bundle("detector")
            (project / "careful.toml").write_text(f"accept_no_reboot_revert = true\n{QUICK}")
            (project / "cats.toml").write_text("")
            (project / "thresholds.json").write_text(json.dumps({"cat": 0.5}))
            (project / "backup").mkdir()
            return fleet

        yield new_project


def _write_keys(fleet: LoopbackFleet) -> None:
    folder, keys = fleet.folder, fleet.folder / "home/.ssh"
    keys.mkdir(parents=True)
    for key in (keys / "id_ed25519", folder / "key"):
        shutil.copy(fleet.key, key)
        shutil.copy(f"{fleet.key}.pub", f"{key}.pub")
    other = make_key(folder / "backup_key").with_suffix(".pub").read_text()
    both = (folder / "signers").read_text() + f"backup@example.org {other}"
    for name in ("allowed_signers", "release_signers", "new_signers"):
        (folder / name).write_text(both)


def write_models(folder: Path) -> None:
    """Write models and samples under the names of the examples."""
    out = write_conversion_folder(folder / "out", model_of("out")).parent
    for path in out.iterdir():
        shutil.copy(path, folder)
    for name in ("old.tflite", "new.tflite"):
        (folder / name).write_bytes(model_of(name))
    (folder / "model.onnx").write_bytes(convolution_model(size=8, channels=4, layers=1))
    with h5py.File(folder / "model.h5", "w") as file:
        file.attrs["model_config"] = "{}"
    np.save(folder / "x_test.npy", np.zeros((3, 4), np.int8))
    (folder / "out/model_edgetpu.tflite").write_bytes(edgetpu_model("y0"))
    pair = folder / "pair"
    pair.mkdir()
    for path, name in zip(write_pair(pair), ("int8", "float"), strict=True):
        (folder / name).mkdir()
        shutil.copy(path, folder / name / "model.tflite")
    shutil.copy(pair / "data.npz", folder)
    (folder / "pictures").mkdir()
    (folder / "pictures/model.toml").write_text(PICTURES)
    (folder / "pictures/model.tflite").write_bytes(pictures_model([[1, 8, 8, 3]]))
    for name in ("cat.jpg", "dog.png"):
        Image.new("RGB", (8, 8), "red").save(folder / name)


def start_rollout(fleet: LoopbackFleet, name: str) -> str:
    """Begin a rollout and interrupt it in its first wave; return its number."""
    policy, key = fleet.policy(ONE_THEN_ALL), str(fleet.key)
    words = ["fleet", "rollout", fleet.bundle(name), "--to", "fleet=all", "--sign", key, "--json",
             "--accept-no-reboot-revert", "--policy", policy]  # fmt: skip
    command = [sys.executable, "-m", "toolkit.cli", *words]
    with subprocess.Popen(command, cwd=fleet.folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if (event.get("step"), event.get("event")) == ("activate", "begin"):
                break
        process.kill()
    return str(len(fleet.run("fleet", "history", "--json").json["rollouts"]))
