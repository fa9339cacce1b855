"""The document of the policy states the default, and every key."""

import re
from pathlib import Path

import tomlkit

from toolkit.fleet.policy import Policy
from toolkit.fleet.policy_file import parse_policy, plain_policy
from toolkit.judge.gates import GATES

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "fleet_policy.md").read_text("utf-8")
EXAMPLES = [tomlkit.parse(text).unwrap() for text in re.findall(r"```toml\n(.*?)```", TEXT, re.S)]


def test_the_first_example_is_the_safe_default() -> None:
    assert parse_policy(EXAMPLES[0], "docs") == Policy()


def test_every_key_is_in_an_example() -> None:
    policy = parse_policy(EXAMPLES[0] | EXAMPLES[1], "docs")
    (window,) = policy.windows
    assert window.labels == {"site": "berlin"}
    plain = plain_policy(policy)
    assert set(plain) == {*EXAMPLES[0], "window"}
    assert set(plain["window"][0]) == set(EXAMPLES[1]["window"][0])
    assert set(EXAMPLES[0]["gates"]) == set(GATES)
    assert all(f"| `{name}` |" in TEXT for name in GATES)
