"""Startup files of a login: what they print is passed over; what takes kedge's place is named."""

import shutil
from pathlib import Path

import pytest

from targets.errors import TargetError
from targets.login_words import advice_on, quote_words
from targets.provision import open_device
from tests.accounts import Account, openssh

#: The first SetEnv counts; the tests' own one would keep bash from its startup file.
READ_STARTUP_FILES = "SetEnv STARTUP=yes"

OTHER_SHELL = "starts another program"
READS = "reads from standard input"
UNUSABLE = "no usable shell"


@pytest.mark.parametrize(
    ("shell", "name", "line", "message"),
    [
        ("bash", ".bashrc", "exec dash", OTHER_SHELL),
        ("bash", ".bashrc", "exec fish", UNUSABLE),
        ("bash", ".bashrc", "exec no-such-shell", UNUSABLE),
        ("bash", ".bashrc", "read -t 2 answer", READS),
        ("bash", ".bashrc", "read -t 2 -n 1 answer", READS),
        ("bash", ".bashrc", "head -n 3 >/dev/null", UNUSABLE),
        ("bash", ".bashrc", "cat >/dev/null", UNUSABLE),
        ("bash", ".bashrc", "exit 0", UNUSABLE),
        ("tcsh", ".tcshrc", "set answer = $<", READS),
        ("tcsh", ".tcshrc", "exec sh", OTHER_SHELL),
        ("fish", ".config/fish/config.fish", "read answer", READS),
        ("fish", ".config/fish/config.fish", "exec sh", OTHER_SHELL),
    ],
)
def test_a_startup_file_in_the_way_is_named(
    shell: str, name: str, line: str, message: str, tmp_path: Path
) -> None:
    if shutil.which(shell) is None or ("fish" in line and shutil.which("fish") is None):
        pytest.skip(f"{shell} is not installed")
    account = Account(tmp_path / "home", shell=str(shutil.which(shell)))
    (account.home / name).parent.mkdir(parents=True)
    (account.home / name).write_text(line + "\n")
    with (
        openssh(tmp_path / "sshd", account, READ_STARTUP_FILES) as target,
        pytest.raises(TargetError, match=message) as refused,
        open_device(target),
    ):
        pytest.fail("it opened")

    assert ".bashrc" in refused.value.hint or "startup" in refused.value.hint
    assert not Path(target.root).exists()


@pytest.mark.parametrize(
    "line",
    [
        "echo welcome; echo complaint >&2",
        "printf '\\033]0;title\\007command=zsh\\nwhole=no\\nend=yes'",
        "seq 150; head -c 900000 /dev/zero",
        "set -eu; set -o noclobber",
        "cd /; alias sh=false printf=false",
        "stty erase x; tput setaf 1",
    ],
)
def test_a_chatty_startup_file_is_passed_over(line: str, tmp_path: Path) -> None:
    account = Account(tmp_path / "home", shell="/bin/bash")
    account.home.mkdir()
    (account.home / ".bashrc").write_text(line + "\n")
    with (
        openssh(tmp_path / "sshd", account, READ_STARTUP_FILES) as target,
        open_device(target) as device,
    ):
        assert device.facts.user == "root"


@pytest.mark.parametrize("stream", ["", " >&2"])
def test_a_board_that_prints_without_end(stream: str, tmp_path: Path) -> None:
    account = Account(tmp_path / "home", shell="/bin/bash")
    account.home.mkdir()
    (account.home / ".bashrc").write_text(f"yes{stream}\n")
    with (
        openssh(tmp_path / "sshd", account, READ_STARTUP_FILES) as target,
        pytest.raises(TargetError, match="printed more than 16 MiB") as refused,
        open_device(target),
    ):
        pytest.fail("it opened")

    assert ".bashrc" in refused.value.hint


@pytest.mark.parametrize(
    ("words", "step"),
    [
        ("WARNING: Your password has expired.\nPassword change required but no TTY.", "change the"),
        ("You are required to change your password immediately (root enforced)", "change the"),
        ("Your account has expired; please contact your system administrator", "chage -E"),
        ("This account is currently not available.", "chsh"),
        ("System is booting up. Unprivileged users are not permitted to log in yet.", "nologin"),
        ("The system is going down for reboot at 12:00", "nologin"),
        ("Authorized use only. All activity is logged.", ""),
    ],
)
def test_the_words_of_a_login_have_a_next_step(words: str, step: str) -> None:
    assert step in advice_on(words)
    assert bool(step) == bool(advice_on(words))


def test_a_long_banner_is_shortened_to_its_end() -> None:
    assert quote_words("a\n\n b") == "a b"
    assert quote_words("x" * 5000 + " end").endswith("x end")
    assert len(quote_words("x" * 5000)) < 320
