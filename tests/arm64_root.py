"""Builds the Debian arm64 root file system of the emulated board, once, and keeps it.

`python -m tests.arm64_root` builds it ahead of the tests and prints what it does.
"""

# ruff: noqa: T201 - run by itself, it says what it does

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from toolkit.demo.keeper import end_kept, start_kept

SUITE = "bookworm"
PACKAGES = ("python3", "openssh-server", "libstdc++6")
# Raised when the steps change otherwise than by the packages.
RECIPE_VERSION = 1

BINFMT = Path("/proc/sys/fs/binfmt_misc")
HANDLER = BINFMT / "qemu-aarch64"
_SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"


class Arm64RootError(Exception):
    """The root file system cannot be built, or does not run here."""


def cached_root() -> Path:
    """Where the finished root file system lies, or will lie."""
    folder = os.environ.get("KEDGE_TEST_CACHE") or Path.home() / ".cache" / "kedge-tests"
    recipe = repr((SUITE, PACKAGES, RECIPE_VERSION))
    digest = hashlib.sha256(recipe.encode()).hexdigest()[:12]
    return Path(folder).absolute() / f"arm64-{SUITE}-{digest}"


def missing_part() -> str | None:
    """The first thing without which no arm64 board can start here, or None."""
    if os.geteuid() != 0:
        return "root: the emulated board needs chroot and mount"
    for program in ("unshare", "mount", "chroot"):
        if find_program(program) is None:
            return f"the program {program}"
    if not cached_root().exists() and find_program("debootstrap") is None:
        return "the program debootstrap, which builds the board's root file system"
    if platform.machine() == "aarch64":
        return None
    try:
        enable_emulation()
    except Arm64RootError as error:
        return str(error)
    return None


def enable_emulation() -> None:
    """Lets the kernel run aarch64 programs, also those in a chroot.

    Raises:
        Arm64RootError: qemu-user-static or binfmt-support is missing, or the kernel refuses.
    """
    if platform.machine() == "aarch64":
        return
    if not (BINFMT / "status").exists():
        _run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)])
    if not HANDLER.exists():
        if find_program("update-binfmts") is None:
            raise Arm64RootError("the program update-binfmts (package binfmt-support)")
        _run(["update-binfmts", "--enable", "qemu-aarch64"])
    if not HANDLER.exists():
        raise Arm64RootError("a binfmt handler for aarch64 (package qemu-user-static)")
    text = HANDLER.read_text()
    flags = next((line for line in text.splitlines() if line.startswith("flags:")), "")
    if not text.startswith("enabled") or "F" not in flags.removeprefix("flags:"):
        # Without the flag F the kernel would look for qemu inside the chroot.
        raise Arm64RootError(f"an enabled binfmt handler with the flag F; {HANDLER} says: {text}")


def ensure_root() -> Path:
    """The root file system; builds it when it is not there yet, which takes minutes.

    Raises:
        Arm64RootError: A part is missing, or the build failed; the end of its log is shown.
    """
    root = cached_root()
    if root.exists():
        enable_emulation()
        return root
    missing = missing_part()
    if missing is not None:
        raise Arm64RootError(f"the arm64 board needs {missing}")
    root.parent.mkdir(parents=True, exist_ok=True)
    with _only_builder(root):
        if not root.exists():  # another builder may have finished meanwhile
            _build(root)
    return root


@contextlib.contextmanager
def _only_builder(root: Path) -> Iterator[None]:
    """Holds the lock of this root's builders; the kernel drops it when a builder dies."""
    with root.with_name(root.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # What an earlier builder left when it was killed: nobody else can be building now.
        for left in root.parent.glob(f"{root.name}.building-*"):
            shutil.rmtree(left)
        yield


def _build(root: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix=f"{root.name}.building-", dir=root.parent))
    # Readable for all: a mkdtemp folder would become a `/` that only root can enter.
    folder.chmod(0o755)
    command = [
        "debootstrap",
        "--arch=arm64",
        "--variant=minbase",
        f"--include={','.join(PACKAGES)}",
        SUITE,
        str(folder),
    ]
    try:
        _run_kept(command, root.with_name(root.name + ".log"))
        _shrink(folder)
        verify(folder)
        folder.rename(root)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _run_kept(command: Sequence[str], log: Path) -> None:
    """Runs a long command that leaves nothing behind, also when this process is killed.

    What it mounts is gone with its mount namespace, what it started ends with the keeper.
    """
    log.write_bytes(b"")
    unshare = _program("unshare")
    keeper = start_kept([unshare, "--mount", "env", f"PATH={_path()}", *command], log)
    try:
        code = keeper.wait()
    finally:
        end_kept(keeper)
    if code != 0:
        tail = " | ".join(log.read_text(errors="replace").splitlines()[-8:])
        raise Arm64RootError(f"{' '.join(command)} ended with {code} (log: {log}): {tail}")


def _shrink(folder: Path) -> None:
    """Removes what no board needs: downloaded packages, package lists and manuals."""
    for name in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("ssh_host_*_key", "ssh_host_*_key.pub"):  # each board makes its own
        for key in (folder / "etc/ssh").glob(name):
            key.unlink()


def verify(root: Path) -> str:
    """Runs the board's own Python; returns its version.

    Raises:
        Arm64RootError: It does not run.
    """
    inside = "import platform; print(platform.machine(), platform.python_version())"
    machine, version = _run(["chroot", str(root), "python3", "-c", inside]).split()
    if machine != "aarch64":
        raise Arm64RootError(f"{root} holds a Python for {machine}, expected aarch64")
    return version


def find_program(name: str) -> str | None:
    """A program of the system, also where the PATH lacks the folders of the superuser."""
    return shutil.which(name) or shutil.which(name, path=_SYSTEM_FOLDERS)


def _program(name: str) -> str:
    found = find_program(name)
    if found is None:
        raise Arm64RootError(f"the program {name}")
    return found


def _path() -> str:
    """A PATH that also names the folders of the superuser's programs."""
    return f"{os.environ.get('PATH', '')}:{_SYSTEM_FOLDERS}"


def _run(command: Sequence[str]) -> str:
    """Runs a program of the system; its output, or an error with the end of it."""
    environment = {**os.environ, "PATH": _path()}
    # A library that is preloaded into this process is none for another architecture.
    environment.pop("LD_PRELOAD", None)
    done = subprocess.run(
        [_program(command[0]), *command[1:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
        check=False,
    )
    if done.returncode != 0:
        tail = " | ".join(done.stdout.splitlines()[-8:])
        raise Arm64RootError(f"{' '.join(command)} ended with {done.returncode}: {tail}")
    return done.stdout


def main() -> int:
    """Builds or finds the root file system and says so; fails where CI requires the board."""
    started = time.monotonic()
    missing = missing_part()
    if missing is not None:
        print("no arm64 board here, its tests skip; missing:", missing)
        return 1 if os.environ.get("KEDGE_REQUIRE_BOARDS") == "1" else 0
    root = cached_root()
    print("found" if root.exists() else "building (takes minutes)", root, flush=True)
    try:
        version = verify(ensure_root())
    except Arm64RootError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"ready after {time.monotonic() - started:.0f} s: Python {version} on aarch64")
    return 0


if __name__ == "__main__":
    sys.exit(main())
