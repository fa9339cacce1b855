"""What starts the recovery after a reboot, as far as a board can prove it."""

import os
import pwd
from pathlib import Path

import pytest

from device_agent.board import reboot_recovery
from device_agent.board.reboot_recovery import CRON, SYSTEMD, find_recovery

ROOT = "/srv/kedge root"
COMMAND = f"python3 -I '{ROOT}/agent/agent.pyz' recover '{ROOT}'"


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(reboot_recovery, "_own_crontab", lambda: [])
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def start_cron(system: Path, name: str = "cron") -> None:
    write(system / "proc/77/comm", name + "\n")


def test_a_board_with_nothing(system: Path) -> None:
    start_cron(system)
    write(system / "etc/crontab", "@daily root true\n")

    assert find_recovery(ROOT, str(system)) == ""


@pytest.mark.parametrize("name", ["cron", "crond"])
def test_a_line_of_cron(system: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(reboot_recovery, "_own_crontab", lambda: [f"@reboot {COMMAND}"])
    assert find_recovery(ROOT, str(system)) == ""  # nobody reads the line

    start_cron(system, name)
    assert find_recovery(ROOT, str(system)) == CRON
    assert find_recovery("/srv/other", str(system)) == ""


def test_cron_of_busybox(system: Path) -> None:
    write(system / "etc/cron.d/kedge", f"@reboot root {COMMAND}\n")
    start_cron(system, "busybox")
    assert find_recovery(ROOT, str(system)) == ""

    write(system / "proc/77/cmdline", "/bin/busybox\0crond\0")
    assert find_recovery(ROOT, str(system)) == CRON


@pytest.mark.parametrize("line", [f"# @reboot {COMMAND}", f"@daily {COMMAND}", "@reboot true"])
def test_lines_that_do_not_count(system: Path, line: str) -> None:
    start_cron(system)
    write(system / "etc/cron.d/kedge", line + "\n")

    assert find_recovery(ROOT, str(system)) == ""


def test_an_enabled_unit(system: Path) -> None:
    unit = f"[Service]\nType=oneshot\nExecStart=/usr/bin/{COMMAND}\n"
    write(system / "etc/systemd/system/kedge.service", unit)
    assert find_recovery(ROOT, str(system)) == ""  # not enabled

    write(system / "etc/systemd/system/multi-user.target.wants/kedge.service", unit)
    assert find_recovery(ROOT, str(system)) == SYSTEMD


def test_a_unit_of_the_user_needs_lingering(system: Path) -> None:
    user = pwd.getpwuid(os.geteuid())
    unit = f"[Service]\nExecStart=/usr/bin/{COMMAND}\n"
    folder = system / user.pw_dir.lstrip("/") / ".config/systemd/user/default.target.wants"
    write(folder / "kedge.service", unit)
    assert find_recovery(ROOT, str(system)) == ""

    write(system / "var/lib/systemd/linger" / user.pw_name, "")
    assert find_recovery(ROOT, str(system)) == SYSTEMD
