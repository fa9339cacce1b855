"""Loads a release of a runtime on an emulated CPU, in the root file system of the arm64 board."""

import json
import subprocess
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from targets.agent_archive import agent_archive
from tests.boards import in_chroot

#: The CPU of a Raspberry Pi 4, by the name that QEMU has for it: ARMv8.0 without dot product.
CORTEX_A72 = "cortex-a72"

# The files from which a runtime reads how many cores there are: not those of the computer below.
_WITH_SYS = (
    "mount -t tmpfs tmpfs /sys && mkdir -p /sys/devices/system/cpu && "
    "echo 0-1 > /sys/devices/system/cpu/possible && echo 0-1 > /sys/devices/system/cpu/present && "
)
_PROGRAM = """
import json, sys
sys.path.insert(0, "/srv/agent.pyz")
from device_agent.job_fields import Job
from device_agent.runtimes.driver import import_driver, run_once
driver = import_driver(Job("benchmark", sys.argv[1], tree="/srv/tree", folder="/srv"))
model = driver.open("/srv/model", 1)
model.prepare()
(tensor,) = model.inputs
model.put(tensor.position, driver.numpy.array([[-1, 2, -3, 4]], tensor.dtype))
run_once(model)
placement = model.placement()
print(json.dumps([driver.kernel_class["version"], model.take(model.outputs[0].position).tolist(),
                  placement is not None and placement.total]))
"""
_WITHIN_S = 300


@dataclass(frozen=True)
class LoadedRelease:
    """End of a process that loaded a release and ran a model.

    Attributes:
        code: Its exit code; 128 and the number of the signal that ended it.
        version: Version that the runtime reports; empty where it died.
        output: Values of the output of the model.
        operators: Number of operators whose place is reported; False where the release hides them.
        last_words: Text that it wrote to standard error.
    """

    code: int
    version: str
    output: list[list[float]]
    operators: int
    last_words: str


def load_release(
    system: Path,
    runtime: str,
    wheels: Sequence[Path],
    model: bytes,
    cpu: str = CORTEX_A72,
    with_sys: bool = True,
) -> LoadedRelease:
    """Imports a runtime by its driver, and runs a model of one input of shape (1, 4)."""
    with tempfile.TemporaryDirectory(prefix="kedge-cpu-") as name:
        folder = Path(name)
        for part in ("home", "tmp", "tree"):
            (folder / part).mkdir()
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(folder / "tree")
        (folder / "agent.pyz").write_bytes(agent_archive().content)
        (folder / "model").write_bytes(model)
        (folder / "program.py").write_text(_PROGRAM)
        # Not as the first process of the namespace, which no signal of its own ends.
        command = f"env QEMU_CPU={cpu} python3 -I -S -B /srv/program.py {runtime}; exit $?"
        done = subprocess.run(
            in_chroot(system, folder, ["sh", "-c", (_WITH_SYS if with_sys else "") + command]),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_WITHIN_S,
            check=False,
        )
    lines = done.stdout.splitlines()
    version, output, operators = json.loads(lines[-1]) if done.returncode == 0 else ("", [], 0)
    return LoadedRelease(done.returncode, version, output, operators, done.stderr)
