"""Writes the digests of all wheels that kedge may bring to a board, as the index publishes them.

`make digests` runs it, after a release was added to `targets/runtimes`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY))

from targets.runtimes.digests import DIGESTS  # noqa: E402
from targets.runtimes.download import own_pip, platform_options  # noqa: E402
from targets.runtimes.fit import every_wheel  # noqa: E402
from targets.runtimes.release import Wheel  # noqa: E402

_HEADER = """\
# SHA-256 of every wheel that kedge may bring to a board, as published. Written by `make digests`.
"""


def main() -> None:
    """Ask pip for each wheel, and write the file once all digests are there."""
    with TemporaryDirectory() as folder:
        files = [file for wheel in every_wheel() for file in _published(wheel, Path(folder))]
    lines = [f"{digest}  {name}\n" for name, digest in sorted(files)]
    DIGESTS.write_text(_HEADER + "".join(lines))
    sys.stdout.write(f"wrote {len(lines)} digests to {DIGESTS.relative_to(REPOSITORY)}\n")


def _published(wheel: Wheel, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the file name and the digest that pip would install for a board."""
    report = folder / "report.json"
    command = [*own_pip(), "install", "--quiet", "--dry-run", "--ignore-installed", "--no-deps"]
    command += ["--ignore-requires-python", "--target", str(folder / "none")]
    command += ["--report", str(report)]
    subprocess.run([*command, *platform_options([wheel])], check=True)
    for entry in json.loads(report.read_text())["install"]:
        info = entry["download_info"]
        yield info["url"].rpartition("/")[2], info["archive_info"]["hashes"]["sha256"]


if __name__ == "__main__":
    main()
