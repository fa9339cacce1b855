"""What the facts about this computer mean for its user. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from toolkit.host_check.facts import EXTRAS, PROGRAMS, HostFacts, PackageFact
from toolkit.report import words

OK, MISSING, WRONG = "ok", "not installed", "WRONG"

#: A conversion writes some times the size of its model; TensorFlow's own files are larger.
LEAST_FREE_BYTES = 1 << 30


@dataclass(frozen=True)
class HostFinding:
    """One thing that was looked at."""

    subject: str
    state: str
    """`OK`; `MISSING` for something that not everybody needs; `WRONG` for what will fail."""
    detail: str
    fix: str = ""
    """Next step for the user; "" where there is none."""


def judge_host(facts: HostFacts) -> tuple[HostFinding, ...]:
    """Judge what this computer has.

    Args:
        facts: Facts of this computer.
    """
    return (
        HostFinding("Python", OK, f"{facts.python} on {facts.machine}, {facts.system}"),
        _own_packages(facts.packages[""]),
        *(_extra(name, facts.packages[name]) for name in EXTRAS),
        *_keys(facts),
        *_programs(facts),
        *_disks(facts),
        _project(facts),
    )


def _own_packages(packages: Sequence[PackageFact]) -> HostFinding:
    problems = [package for package in packages if not package.fits]
    if not problems:
        return HostFinding("kedge's packages", OK, f"{len(packages)} fit")
    return HostFinding(
        "kedge's packages",
        WRONG,
        _difference(problems),
        f"Install what fits: pip install {_quoted(problems)}; best into an environment of its own.",
    )


def _extra(name: str, packages: Sequence[PackageFact]) -> HostFinding:
    subject, fix = f"extra {name}", f'To {EXTRAS[name]}: pip install "kedge[{name}]".'
    problems = [package for package in packages if not package.fits]
    if not problems:
        return HostFinding(subject, OK, f"{len(packages)} packages fit")
    if all(not package.version for package in problems):
        absent = ", ".join(package.requirement for package in problems[:3])
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        return HostFinding(subject, MISSING, f"{absent}{more}", fix)
    wrong_fix = f"Install what fits: pip install {_quoted(problems)}."
    return HostFinding(subject, WRONG, _difference(problems), wrong_fix)


def _quoted(problems: Sequence[PackageFact]) -> str:
    return " ".join(f"'{package.requirement}'" for package in problems)


def _difference(problems: Sequence[PackageFact]) -> str:
    return "; ".join(
        f"{package.requirement} is needed, {package.version or 'none'} is installed"
        for package in problems
    )


def _keys(facts: HostFacts) -> Iterator[HostFinding]:
    if facts.open_key_files:
        names = ", ".join(facts.open_key_files)
        yield HostFinding(
            "SSH keys",
            WRONG,
            f"others may read {names} in ~/.ssh",
            f"chmod 600 {' '.join(f'~/.ssh/{name}' for name in facts.open_key_files)}",
        )
    elif facts.key_files:
        yield HostFinding("SSH keys", OK, f"{', '.join(facts.key_files)} in ~/.ssh")
    else:
        is_other_way = facts.agent_keys > 0
        detail = "none in ~/.ssh" + (", but the agent has some" if is_other_way else "")
        fix = "" if is_other_way else "ssh-keygen -t ed25519, then ssh-copy-id USER@BOARD."
        yield HostFinding("SSH keys", OK if is_other_way else MISSING, detail, fix)
    if facts.agent_keys:
        yield HostFinding("SSH agent", OK, words.count_of("key", facts.agent_keys))
    elif facts.agent:
        yield HostFinding("SSH agent", MISSING, facts.agent, "ssh-add adds your key to it.")
    else:
        fix = "Only keys with a passphrase need it: eval $(ssh-agent) && ssh-add."
        yield HostFinding("SSH agent", MISSING, "none is running", fix)


def _programs(facts: HostFacts) -> Iterator[HostFinding]:
    for name, purpose in PROGRAMS.items():
        path = facts.programs[name]
        if name == "bwrap":
            state = MISSING if facts.sandbox.startswith("none") else OK
            fix = "" if state == OK else f"Install bubblewrap, to {purpose}."
            yield HostFinding("sandbox", state, facts.sandbox, fix)
        elif path:
            yield HostFinding(name, OK, path)
        else:
            yield HostFinding(name, MISSING, "not on the path", f"Only needed to {purpose}.")


def _disks(facts: HostFacts) -> Iterator[HostFinding]:
    for folder, free in facts.free_bytes.items():
        detail = f"{words.size(free)} are free"
        if free < LEAST_FREE_BYTES:
            least = words.size(LEAST_FREE_BYTES)
            fix = f"Free some space there: a conversion may need {least}."
            yield HostFinding(f"disk of {folder}", WRONG, detail, fix)
        else:
            yield HostFinding(f"disk of {folder}", OK, detail)


def _project(facts: HostFacts) -> HostFinding:
    if not facts.project:
        fix = "kedge init begins one here; conversions need none."
        return HostFinding("project", MISSING, "no kedge.toml here or above", fix)
    if facts.project_problem:
        return HostFinding("project", WRONG, facts.project_problem, "Correct kedge.toml.")
    detail = f"{facts.project}, {words.count_of('target', facts.targets)}"
    fix = "" if facts.targets else "kedge target add NAME USER@HOST adds a board."
    return HostFinding("project", OK, detail, fix)
