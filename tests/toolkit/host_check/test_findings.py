"""What facts about a computer mean."""

from dataclasses import replace

from toolkit.host_check.facts import EXTRAS, PROGRAMS, HostFacts, PackageFact
from toolkit.host_check.findings import (
    LEAST_FREE_BYTES,
    MISSING,
    OK,
    WRONG,
    HostFinding,
    judge_host,
)

FITS = PackageFact("numpy>=1.23", "1.26.4", True)
GOOD = HostFacts(
    python="3.11.7",
    machine="x86_64",
    system="Linux",
    packages={name: (FITS,) for name in ("", *EXTRAS)},
    key_files=("id_ed25519",),
    open_key_files=(),
    agent="it answers",
    agent_keys=1,
    programs={name: f"/usr/bin/{name}" for name in PROGRAMS},
    sandbox="bubblewrap: no network",
    free_bytes={"/home": LEAST_FREE_BYTES},
    project="/home/kedge.toml",
    project_problem="",
    targets=2,
)


def finding(facts: HostFacts, subject: str) -> HostFinding:
    return next(each for each in judge_host(facts) if each.subject == subject)


def test_a_computer_with_everything_has_no_next_step() -> None:
    findings = judge_host(GOOD)
    assert {each.state for each in findings} == {OK}
    assert not any(each.fix for each in findings)


def test_an_extra_that_is_absent_is_no_fault_and_one_that_does_not_fit_is() -> None:
    absent = {**GOOD.packages, "torch": (PackageFact("torch>=2.9", "", False),)}
    found = finding(replace(GOOD, packages=absent), "extra torch")
    assert (found.state, 'pip install "kedge[torch]"' in found.fix) == (MISSING, True)
    old = {**GOOD.packages, "torch": (PackageFact("torch>=2.9", "2.1", False),)}
    found = finding(replace(GOOD, packages=old), "extra torch")
    assert found.state == WRONG
    assert found.detail == "torch>=2.9 is needed, 2.1 is installed"
    assert "pip install 'torch>=2.9'" in found.fix


def test_packages_of_kedge_itself_must_fit() -> None:
    old = {**GOOD.packages, "": (PackageFact("click>=8.3.3", "8.1", False),)}
    found = finding(replace(GOOD, packages=old), "kedge's packages")
    assert found.state == WRONG and "click>=8.3.3 is needed, 8.1" in found.detail


def test_keys_of_an_agent_do_without_files() -> None:
    found = finding(replace(GOOD, key_files=()), "SSH keys")
    assert (found.state, found.fix) == (OK, "")
    found = finding(replace(GOOD, key_files=(), agent_keys=0, agent=""), "SSH keys")
    assert found.state == MISSING and "ssh-keygen" in found.fix


def test_a_full_disk_and_a_missing_sandbox_are_told() -> None:
    full = replace(GOOD, free_bytes={"/home": LEAST_FREE_BYTES - 1})
    assert finding(full, "disk of /home").state == WRONG
    open_ = replace(GOOD, sandbox="none: bubblewrap (bwrap) is not installed")
    found = finding(open_, "sandbox")
    assert found.state == MISSING and "bubblewrap" in found.fix


def test_a_project_without_boards_has_a_next_step() -> None:
    assert "kedge target add" in finding(replace(GOOD, targets=0), "project").fix
    assert "kedge init" in finding(replace(GOOD, project=""), "project").fix
