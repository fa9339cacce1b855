"""A fleet of real boards on this computer: one sshd, a root folder and a Python for each board.

A bad board is made bad by its Python, which changes what the agent or the runtime does there. So
the fault does not depend on the speed or the load of the computer.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import flatbuffers
import numpy
from ai_edge_litert import schema_py_generated as schema

from device_agent.contract.manifest import Hooks
from tests.kedge import Ran, kedge
from tests.tiny_model import relu_model
from tests.toolkit.bundle.conversion_folder import write_conversion_folder
from tests.toolkit.bundle.small_bundle import make_key
from toolkit.bundle.build import BundleRequest, build_bundle
from toolkit.bundle.settings import BundleSettings
from toolkit.demo.sshd import LoopbackSshd, start_sshd

#: Text in the models on which faulty boards do what they do.
BAD_MARK = "second"

#: Program that a faulty board's Python runs at its start, by kind of fault.
FAULTS = {
    "slow": "import time; on_invoke(lambda interpreter: time.sleep(0.02))",
    "wrong": "on_output(lambda values: ~values)",
    "crashing": "on_invoke(lambda interpreter: os.abort())",
    "full": "fill_disk()",
    "tampered": "tamper()",
}

_FAULTY_PYTHON = """
import importlib.abc, importlib.machinery, os, sys

MARK = {mark!r}.encode()


def patch_runtime(patch):
    class Finder(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name != "ai_edge_litert.interpreter":
                return None
            spec = importlib.machinery.PathFinder.find_spec(name, path)
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                patch(module.Interpreter)

            spec.loader.exec_module = exec_module
            return spec

    sys.meta_path.insert(0, Finder())


def is_bad(arguments, options):
    for value in [*arguments, *options.values()]:
        if isinstance(value, bytes) and MARK in value:
            return True
        if isinstance(value, str) and os.path.isfile(value):
            with open(value, "rb") as file:
                if MARK in file.read():
                    return True
    return False


def note_models(interpreter_class):
    start = interpreter_class.__init__

    def __init__(self, *arguments, **options):
        self.is_bad = is_bad(arguments, options)
        start(self, *arguments, **options)

    interpreter_class.__init__ = __init__


def on_invoke(act):
    def patch(interpreter_class):
        note_models(interpreter_class)
        invoke = interpreter_class.invoke

        def changed(self):
            if self.is_bad:
                act(self)
            invoke(self)

        interpreter_class.invoke = changed

    patch_runtime(patch)


def on_output(change):
    def patch(interpreter_class):
        note_models(interpreter_class)
        get = interpreter_class.get_tensor

        def changed(self, *arguments, **options):
            values = get(self, *arguments, **options)
            return change(values) if self.is_bad else values

        interpreter_class.get_tensor = changed

    patch_runtime(patch)


def fill_disk():
    statvfs = os.statvfs

    def full(path):
        facts = list(statvfs(path))
        facts[3] = facts[4] = 0  # f_bfree, f_bavail
        return os.statvfs_result(facts)

    os.statvfs = full


def tamper():
    replace = os.replace

    def changed(source, target, **options):
        replace(source, target, **options)
        if "/rel/" in str(target):
            path = os.path.realpath(os.path.join(target, "model.tflite"))
            os.chmod(path, 0o600)
            with open(path, "r+b") as file:
                byte = file.read(1)
                file.seek(0)
                file.write(bytes([byte[0] ^ 1]))

    os.replace = changed


{fault}
"""


def faulty_python(folder: Path, fault: str) -> Path:
    """A virtual environment with the packages of the tests, whose Python has a fault."""
    base = Path(sys.executable).resolve()
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(base)
    (folder / "pyvenv.cfg").write_text(f"home = {base.parent}\n")
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    packages = folder / "lib" / version / "site-packages"
    packages.mkdir(parents=True)
    (packages / "own.pth").write_text(f"{Path(numpy.__file__).parents[1]}\n")
    text = _FAULTY_PYTHON.format(mark=BAD_MARK, fault=FAULTS[fault])
    (packages / "sitecustomize.py").write_text(text)
    return folder / "bin" / "python"


def model_of(name: str) -> bytes:
    """A model that answers x with x where that is not negative; `name` stands in the file."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(relu_model(), 0))
    model.description = name
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class LoopbackFleet:
    """A project with boards, keys and bundles."""

    def __init__(self, folder: Path, server: LoopbackSshd, faults: Mapping[str, str]) -> None:
        self.folder = folder
        self.server = server
        self.names = [*faults]
        self.key = make_key(folder / "release_key")
        public = (folder / "release_key.pub").read_text()
        (folder / "signers").write_text(f"release@example.org {public}")
        pythons = {
            fault: faulty_python(folder / "pythons" / fault, fault)
            for fault in set(faults.values())
            if fault in FAULTS
        }
        entries = [self._entry(name, fault, pythons) for name, fault in faults.items()]
        (folder / "kedge.toml").write_text("\n".join(entries))
        self._counter = 0

    def _entry(self, name: str, fault: str, pythons: Mapping[str, Path]) -> str:
        address = self.server.address
        if fault == "unreachable":
            address = address.rpartition(":")[0] + ":9"
        return (
            f"[targets.{name}]\naddress = '{address}'\n"
            f"host_key = '{self.server.host_key_fingerprint}'\n"
            f"host_key_type = '{self.server.host_key_type}'\n"
            f"identity = '{self.server.identity}'\nroot = '{self.root(name)}'\n"
            f"python = '{pythons.get(fault, sys.executable)}'\n"
            "runtime = 'board:ai-edge-litert'\nhooks = true\nlabels = { fleet = 'all' }\n"
        )

    def root(self, name: str) -> Path:
        """The folder of a board."""
        return self.folder / "boards" / name

    def current(self, name: str) -> str:
        """Digest of the release that a board's application would open; empty for none."""
        link = self.root(name) / "store/apps/detector/current"
        return link.readlink().name if link.is_symlink() else ""

    def bundle(self, name: str, hooks: Hooks | None = None) -> str:
        """Build and sign a bundle; return its file name."""
        self._counter += 1
        model = write_conversion_folder(self.folder / f"model-{name}", model_of(name))
        request = BundleRequest(
            files=(model,),
            app="detector",
            out=self.folder / f"{name}.bundle",
            version=name,
            counter=self._counter,
            settings=BundleSettings(hooks=hooks or Hooks()),
            keys=(self.key,),
        )
        build_bundle(request)
        return f"{name}.bundle"

    def policy(self, text: str) -> str:
        """Write a policy; return its file name."""
        (self.folder / "policy.toml").write_text(text)
        return "policy.toml"

    def run(self, *arguments: str) -> Ran:
        """Run a command in the project."""
        return kedge(*arguments, cwd=self.folder)

    def rollout(self, bundle: str, *options: str) -> Ran:
        """Roll a bundle out to all boards."""
        accept = "--accept-no-reboot-revert"
        return self.run(
            "fleet",
            "rollout",
            bundle,
            "--to",
            "fleet=all",
            "--sign",
            "release_key",
            accept,
            *options,
        )

    def states(self) -> dict[str, str]:
        """State of each board in its newest rollout, by the journal."""
        answer = self.run("fleet", "status", "--offline", "--json").json
        return {entry["name"]: entry["rollout_state"] for entry in answer["targets"]}


@contextmanager
def loopback_fleet(
    folder: Path, faults: Mapping[str, str], extra_config: Sequence[str] = ()
) -> Iterator[LoopbackFleet]:
    """Start boards, and enrol the key that signs.

    Args:
        folder: Folder of the project.
        faults: Kind of fault by name of a board: `good`, `unreachable`, or a key of `FAULTS`.
        extra_config: Lines for the configuration of the SSH server.
    """
    with start_sshd(folder / "sshd", extra_config=extra_config) as server:
        fleet = LoopbackFleet(folder, server, faults)
        reachable = [name for name, fault in faults.items() if fault != "unreachable"]
        enrolled = fleet.run("target", "trust", *reachable, "--signers", "signers")
        assert enrolled.code == 0, enrolled.err
        yield fleet
