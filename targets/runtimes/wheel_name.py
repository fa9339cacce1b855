"""Which wheel a file is, by the name that the wheel format prescribes. Pure."""

from __future__ import annotations

from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from targets.runtimes.release import Wheel


def is_wheel(file_name: str, wheel: Wheel) -> bool:
    """Tell whether a file is a build of a wheel."""
    try:
        name, version, _, tags = parse_wheel_filename(file_name)
    except InvalidWheelFilename:
        return False
    return (
        name == wheel.distribution
        and version == Version(wheel.version)
        and any(_fits(tag, wheel) for tag in tags)
    )


def _fits(tag: Tag, wheel: Wheel) -> bool:
    """Tell whether a tag is that of the board's Python, on a glibc Linux, not musl's or macOS'."""
    python = f"cp{wheel.python}"
    return (
        tag.interpreter == python
        and tag.abi in (python, f"{python}m", "abi3")
        and tag.platform.startswith(("manylinux", "linux_"))
        and tag.platform.endswith(f"_{wheel.machine}")
    )
