"""Policy files: the safe default, and what is wrong in one."""

from pathlib import Path

import pytest

from toolkit.fleet.policy import DEFAULT_GATES, Allowance, Concurrency, Policy, WaveSize
from toolkit.fleet.policy_file import PolicyError, parse_policy, plain_policy, read_policy
from toolkit.fleet.windows import Window

WHOLE = """
trial_deadline_s = 90
same_fingerprint = 2
site_label = "hall"
accept_no_reboot_revert = true
override_runtime = true

[[wave]]
count = 3
soak_s = 600
[[wave]]
fraction = 1.0

[failure_budget]
count = 3

[unreachable]
rate = 0.2
deadline_s = 60

[concurrency]
total = 64
per_jump_host = 4
per_site = 2

[gates]
latency_ratio = 1.2
temperature = false
memory = 67108864

[[window]]
labels = { hall = "north" }
days = ["sat", "sun"]
start = "22:00"
end = "04:30"
timezone = "Europe/Berlin"
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    return path


def test_an_empty_file_is_the_safe_default(tmp_path: Path) -> None:
    assert read_policy(write(tmp_path, "")) == read_policy(None) == Policy()
    assert set(Policy().gates) >= {"health", "parity"}
    assert Policy().waves[0].fraction == 0.02
    assert read_policy(write(tmp_path, "[gates]\n[failure_budget]\n")) == Policy()


def test_every_key_is_read(tmp_path: Path) -> None:
    policy = read_policy(write(tmp_path, WHOLE))

    gates = {**DEFAULT_GATES, "latency_ratio": 1.2, "memory": 64 << 20}
    del gates["temperature"]
    assert policy == Policy(
        waves=(WaveSize(count=3, soak_s=600), WaveSize(fraction=1.0)),
        failure_budget=Allowance(3, 1.0),
        unreachable=Allowance(10_000_000, 0.2),
        unreachable_deadline_s=60,
        same_fingerprint=2,
        concurrency=Concurrency(64, 4, 2),
        site_label="hall",
        trial_deadline_s=90,
        accept_no_reboot_revert=True,
        override_runtime=True,
        gates=gates,
        windows=(Window({"hall": "north"}, frozenset({5, 6}), 1320, 270, "Europe/Berlin"),),
    )
    assert parse_policy(plain_policy(policy), "the journal") == policy


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[gate]", "gate is unknown", "Did you mean gates?"),
        ("[gates]\nlatency = 1.1", "gates.latency is unknown", "Did you mean latency_ratio?"),
        ("[concurrency]\ntotl = 4", "concurrency.totl is unknown", "Did you mean total?"),
        ("[gates]\nparity = 3", "gates.parity: expected 1 to 2", ""),
        ("[gates]\nmemory = true", "gates.memory: expected", ""),
        ("[gates]\naccuracy = nan", "gates.accuracy: expected 0 to 1", ""),
        (
            "same_fingerprint = 0",
            "same_fingerprint: expected a whole number from 1",
            "fleet_policy.md",
        ),
        ("same_fingerprint = 2.5", "same_fingerprint: expected a whole number", ""),
        ("same_fingerprint = true", "same_fingerprint: expected a whole number", ""),
        ("trial_deadline_s = 'soon'", "trial_deadline_s: expected a number, found 'soon'", ""),
        ("[failure_budget]\ncount = 0", "failure_budget.count", ""),
        ("[failure_budget]\nrate = 5", "failure_budget.rate: expected 0 to 1, found 5", ""),
        ("[concurrency]\nper_jump_host = 20", "from 1 to 8, found 20", ""),
        ("wave = 1", r"wave: expected tables \[\[wave\]\]", ""),
        ("[[wave]]\nsoak_s = 1", "wave 1: expected either count or fraction", ""),
        ("[[wave]]\ncount = 1", "wave: expected fraction = 1 in the last wave", ""),
        (
            "[[wave]]\nfraction = 0.5\n[[wave]]\nfraction = 0.5\n[[wave]]\nfraction = 1",
            "grows from wave to wave",
            "",
        ),
        ("[[window]]\nstart = '25:00'\nend = '01:00'", "window 1.end: expected a time|start", ""),
        ("[[window]]\nstart = '01:00'", "window 1.end: expected a time", ""),
        ("[[window]]\nstart='01:00'\nend='02:00'\ntimezone='../etc'", "a time zone", ""),
        ("[[window]]\nstart='01:00'\nend='02:00'\ndays=['mo']", "some of mon, tue", ""),
        ("x = [", "is not TOML", ""),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, message: str, hint: str) -> None:
    with pytest.raises(PolicyError, match=message) as refused:
        read_policy(write(tmp_path, text))

    assert hint in refused.value.hint
    assert refused.value.exit_code == 3


def test_a_policy_that_is_absent_or_huge_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="No such file"):
        read_policy(tmp_path / "absent.toml")
    with pytest.raises(PolicyError, match="more than"):
        read_policy(write(tmp_path, "#" * (1 << 21)))
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(PolicyError, match="is not TOML"):
        read_policy(tmp_path / "binary.toml")
