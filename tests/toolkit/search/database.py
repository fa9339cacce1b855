"""A real PostgreSQL server for tests, on a socket and a port of its own, in a temporary folder."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from toolkit.demo.keeper import end_kept, start_kept

#: Password of the user over TCP; the URL needs it with %XX.
PASSWORD = "se/cret pass@word"
_USER = "kedge"
_WITHIN_S = 60.0


class Database:
    """A server that can be stopped and started."""

    def __init__(self, programs: Path, folder: Path, account: str) -> None:
        """Make an empty cluster; `account` owns its files."""
        self._programs, self._folder, self._account = programs, folder, account
        self._keeper: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        (folder / "password").write_text(PASSWORD)
        if os.geteuid() == 0:
            for path in (folder, folder / "password"):
                shutil.chown(path, account)
        self._run("initdb", "-D", str(folder / "data"), "-U", _USER, "--no-sync", "-E", "UTF8",
                  "--auth-local=trust", "--auth-host=scram-sha-256",
                  f"--pwfile={folder / 'password'}")  # fmt: skip

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        arguments = ["-D", str(self._folder / "data"), "-F", "-p", str(self.port)]
        arguments += ["-k", str(self._folder), "-h", "127.0.0.1"]
        command = self._as_account("postgres", *arguments)
        self._keeper = start_kept(command, Path(os.devnull))
        deadline = time.monotonic() + _WITHIN_S
        while self._ask("select 1", check=False) != "1":
            assert time.monotonic() < deadline, "PostgreSQL does not start"
            time.sleep(0.05)

    def stop(self) -> None:
        """End the server at once, as a power cut does."""
        if self._keeper is not None:
            end_kept(self._keeper)

    def make(self, name: str) -> str:
        """Make an empty database; return its URL over the socket."""
        self._ask(f'create database "{name}"')
        return f"postgresql:///{name}?host={quote(str(self._folder))}&port={self.port}&user={_USER}"

    def tcp_url(self, name: str, password: str = PASSWORD) -> str:
        """URL of a database over TCP, where the password is checked."""
        return f"postgresql://{_USER}:{quote(password, safe='')}@127.0.0.1:{self.port}/{name}"

    def do(self, name: str, sql: str) -> str:
        """Run a statement in a database; return what it answers."""
        return self._ask(sql, name)

    def _ask(self, sql: str, name: str = "postgres", check: bool = True) -> str:
        ran = subprocess.run(
            [str(self._programs / "psql"), "-h", str(self._folder), "-p", str(self.port), "-U",
             _USER, "-d", name, "-Atqc", sql],
            capture_output=True, text=True, check=check, timeout=_WITHIN_S,
        )  # fmt: skip
        return ran.stdout.strip()

    def _as_account(self, program: str, *arguments: str) -> list[str]:
        command = [str(self._programs / program), *arguments]
        if os.geteuid() != 0:  # the server refuses to run as root
            return command
        return ["setpriv", f"--reuid={self._account}", f"--regid={self._account}",
                "--clear-groups", *command]  # fmt: skip

    def _run(self, program: str, *arguments: str) -> None:
        ran = subprocess.run(
            self._as_account(program, *arguments), cwd="/", capture_output=True, text=True,
            check=False, timeout=_WITHIN_S,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr


@contextmanager
def start_database() -> Iterator[Database]:
    """Run a server until the block ends; skip the test where PostgreSQL is missing."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    programs = next((each for each in folders if (each / "initdb").exists()), None)
    if programs is None:
        if os.environ.get("KEDGE_REQUIRE_BOARDS") == "1":
            pytest.fail("PostgreSQL is missing: apt-get install postgresql", pytrace=False)
        pytest.skip("PostgreSQL is missing: apt-get install postgresql")
    account = pwd.getpwuid(os.geteuid()).pw_name
    if os.geteuid() == 0:
        account = next(user.pw_name for user in pwd.getpwall() if user.pw_name == "postgres")
    with tempfile.TemporaryDirectory(prefix="kedge-pg-", ignore_cleanup_errors=True) as name:
        database = Database(programs, Path(name), account)
        database.start()
        try:
            yield database
        finally:
            database.stop()
