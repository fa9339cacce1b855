"""Which releases of which runtimes run on an emulated Cortex-A72, by the Python of two systems.

`python -m benchmarks.cortex_a72` builds the root file systems where they are not there yet, loads
every release that kedge lists and those with known faults, and writes the table.
"""

# ruff: noqa: T201 - run by itself, it says what it does

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from device_agent.contract.facts import facts_from_json
from targets.runtimes.all import RUNTIMES
from targets.runtimes.download import WheelError, download
from targets.runtimes.fit import choice_of
from targets.runtimes.release import RuntimeRelease
from targets.runtimes.wheels import find_wheels
from tests import arm64_root
from tests.emulated_cpu import load_release
from tests.onnx_models import relu_model
from tests.tiny_model import relu_model as tflite_model

RESULT = Path(__file__).with_name("results") / "cortex_a72.md"

#: Suite of Debian to the minor version of its Python 3.
SUITES = {"bookworm": 11, "bullseye": 9}
#: A release that is known to die there: whoever sees it run has a test that shows nothing.
FAULTY = "1.21.0"
MODELS = {"tflite": tflite_model(), "onnx": relu_model()}


def main() -> int:
    """Run all and write the table."""
    lines = [
        "# Releases on an emulated Cortex-A72",
        "",
        "QEMU user mode with `QEMU_CPU=cortex-a72`, Debian for arm64, one model of one operator by "
        "the driver of the agent. `python -m benchmarks.cortex_a72` writes this table.",
        "",
        "| runtime | Python | import, load and run | output right |",
        "|---|---|---|---|",
    ]
    for suite, minor in SUITES.items():
        arm64_root.SUITE = suite
        system = arm64_root.ensure_root()
        for release in releases_for_python(minor):
            line = row(system, release, minor)
            print(line, flush=True)
            lines.append(line)
    RESULT.write_text("\n".join(lines) + "\n")
    return 0


def releases_for_python(minor: int) -> Iterator[RuntimeRelease]:
    """Yield the releases with a wheel for a Python on 64-bit ARM, and the one with a fault."""
    for release in RUNTIMES:
        if "aarch64" in release.machines and release.pythons[0] <= minor <= release.pythons[1]:
            yield release
            if release.version == "1.23.2":
                yield replace(release, version=FAULTY)


def row(system: Path, release: RuntimeRelease, minor: int) -> str:
    """Load a release; return its row of the table."""
    name = f"| {release.distribution} {release.version} | 3.{minor} |"
    facts = facts_from_json({"machine": "aarch64", "python": f"3.{minor}.0"})
    wheels = choice_of(release, facts).wheels
    with TemporaryDirectory() as folder:
        try:
            if release.version == FAULTY:
                download(wheels[0], Path(folder), wheels)
                files = [*Path(folder).glob("*.whl")]
                files += [file.path for file in find_wheels(wheels[1:], None, lambda _: None)]
            else:
                files = [file.path for file in find_wheels(wheels, None, lambda _: None)]
        except WheelError as error:
            return f"{name} {error} | |"
        began = time.monotonic()
        loaded = load_release(system, release.distribution, files, MODELS[release.format])
    if loaded.code:
        signal = f"signal {loaded.code - 128}" if loaded.code > 128 else f"exit {loaded.code}"
        words = (loaded.last_words.strip().splitlines() or [""])[-1][:80]
        return f"{name} **dies: {signal}** ({words}) | |"
    right = "yes" if loaded.output == [[0, 2, 0, 4]] else f"no: {loaded.output}"
    return f"{name} {time.monotonic() - began:.0f} s | {right} |"


if __name__ == "__main__":
    sys.exit(main())
