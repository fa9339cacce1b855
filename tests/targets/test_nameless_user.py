"""A user id without an entry in /etc/passwd, and no HOME: as in containers and build services."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from targets.device import own_name
from targets.runtimes.download import WheelError
from targets.runtimes.wheels import cache_folder
from targets.ssh.config import read_settings
from targets.ssh.keys import SkippedKey, keys_for
from targets.ssh.route import SshServer
from targets.transport import LoginRefusedError
from toolkit.errors import ToolkitError
from toolkit.project import conversion_cache

NAMELESS = 23456


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user id that nothing names; the folder of the test is there before."""
    del tmp_path

    def no_entry(*_arguments: object) -> None:
        raise KeyError("getpwuid(): uid not found: 23456")

    for name in ("HOME", "LOGNAME", "USER", "LNAME", "USERNAME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("KEDGE_CACHE_DIR", "SSH_AUTH_SOCK", "KEDGE_SSH_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", no_entry)
    monkeypatch.setattr("os.getuid", lambda: NAMELESS)


@pytest.mark.usefixtures("nobody")
def test_a_user_id_stands_for_the_name() -> None:
    assert own_name() == f"uid {NAMELESS}@{socket.gethostname()}"


def test_a_user_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "me")
    assert own_name() == f"me@{socket.gethostname()}"


@pytest.mark.usefixtures("nobody")
def test_the_cache_that_is_named_needs_no_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WheelError, match="HOME is not set") as refused:
        cache_folder()
    assert "KEDGE_CACHE_DIR" in refused.value.hint
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg/kedge/wheels"
    monkeypatch.setenv("KEDGE_CACHE_DIR", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own/wheels"


@pytest.mark.usefixtures("nobody")
def test_the_cache_of_conversions_needs_a_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ToolkitError, match="HOME is not set") as refused:
        conversion_cache(tmp_path)
    assert "XDG_CACHE_HOME" in refused.value.hint
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert conversion_cache(tmp_path) == tmp_path / "kedge/conversions"


@pytest.mark.usefixtures("nobody")
def test_a_key_below_a_home_that_is_missing(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host *\n  IdentityFile ~/key\n  Include ~/more\n  Port 24\n")
    settings = read_settings("board", path=config)
    assert settings.port == 24
    assert settings.identities == (Path("~/key"),)

    server = SshServer("board", "pi", "board", 22, "board", identities=settings.identities)
    skipped_keys: list[SkippedKey] = []
    assert list(keys_for(server, skipped_keys)) == []
    assert "cannot read the identity ~/key" in skipped_keys[0].why
    with pytest.raises(LoginRefusedError, match="cannot read the identity ~/key"):
        list(keys_for(SshServer(**{**vars(server), "identity_is_pinned": True}), []))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_process_of_a_nameless_user() -> None:
    program = (
        "import os; from targets.device import own_name\n"
        "os.setgroups([]); os.setgid(23456); os.setuid(23456)\n"
        "print(own_name())"
    )
    names = ("HOME", "LOGNAME", "USER", "LNAME", "USERNAME")
    environment = {key: value for key, value in os.environ.items() if key not in names}
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout == f"uid 23456@{socket.gethostname()}\n", ran.stderr
