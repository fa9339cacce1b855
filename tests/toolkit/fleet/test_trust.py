"""Who may sign changes by the rule of The Update Framework: enough signers before and after."""

import subprocess
from pathlib import Path

import pytest

from device_agent.contract.codes import IntegrityError
from toolkit.bundle.signers_file import SignersError
from toolkit.fleet.trust import choose_chain, next_root
from toolkit.fleet.trust_chain import SignedRoot, TrustChain, TrustError


class Person:
    """Somebody with a key."""

    def __init__(self, folder: Path, name: str) -> None:
        self.key = folder / name
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(self.key)]
        subprocess.run(command, check=True)
        self.line = f"{name} {(folder / (name + '.pub')).read_text().strip()}\n"


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> list[Person]:
    folder = tmp_path_factory.mktemp("keys")
    return [Person(folder, name) for name in ("ann", "bob", "eve")]


@pytest.fixture
def chain(tmp_path: Path) -> TrustChain:
    return TrustChain(tmp_path / "trust" / "farm")


def change(
    chain: TrustChain,
    signers: list[Person],
    threshold: int | None = None,
    keys: list[Person] | None = None,
) -> SignedRoot:
    path = chain.folder.parent.parent / "allowed_signers"
    path.write_text("".join(person.line for person in signers))
    return next_root(chain, "farm", path, threshold, [person.key for person in keys or []])


def test_the_first_root_needs_no_signature(chain: TrustChain, people: list[Person]) -> None:
    entry = change(chain, people[:2], threshold=2)
    assert (entry.root.version, entry.root.threshold, len(entry.root.signers)) == (1, 2, 2)
    assert change(chain, people[1::-1]) == entry  # the same signers are no change
    assert chain.roots() == (entry,)


def test_a_change_needs_signers_of_both_roots(chain: TrustChain, people: list[Person]) -> None:
    ann, bob, eve = people
    change(chain, [ann, bob], threshold=2)
    with pytest.raises(TrustError, match="2 of the 2 signers of root 1 must sign, 0 did") as lack:
        change(chain, [bob, eve])
    assert "--sign KEY" in lack.value.hint
    with pytest.raises(TrustError, match=r"signers of root 1 must sign, 1 did \(bob\)"):
        change(chain, [bob, eve], keys=[bob, eve])
    # The signatures so far are kept, as for people on several computers.
    entry = change(chain, [bob, eve], keys=[ann])
    assert entry.root.version == 2
    assert len(entry.signatures) == 3
    assert [signed.root.version for signed in chain.roots()] == [1, 2]


def test_a_key_that_signs_twice_counts_once(chain: TrustChain, people: list[Person]) -> None:
    ann, bob, eve = people
    change(chain, [ann, bob], threshold=2)
    with pytest.raises(TrustError, match=r"2 of the 2 signers of root 1 must sign, 1 did \(ann\)"):
        change(chain, [ann, bob, eve], keys=[ann, ann, eve])


def test_a_stranger_counts_for_nothing(chain: TrustChain, people: list[Person]) -> None:
    ann, bob, eve = people
    change(chain, [ann])
    with pytest.raises(TrustError, match="1 of the 1 signers of root 1 must sign, 0 did"):
        change(chain, [eve], keys=[eve, bob])


def test_a_pending_change_can_be_replaced(chain: TrustChain, people: list[Person]) -> None:
    ann, bob, eve = people
    change(chain, [ann])
    with pytest.raises(TrustError):
        change(chain, [eve], keys=[eve])
    entry = change(chain, [ann, bob], keys=[ann])
    assert entry.root.version == 2
    assert len(entry.signatures) == 1  # the signature over the other root is gone


def test_a_changed_root_of_the_project_is_noticed(chain: TrustChain, people: list[Person]) -> None:
    ann, bob, _ = people
    change(chain, [ann])
    change(chain, [ann, bob], keys=[ann])
    path = chain.folder / "2.json"
    good = path.read_bytes()
    path.write_bytes(good.replace(b'"threshold":1', b'"threshold":2'))
    with pytest.raises(IntegrityError, match="does not fit"):
        change(chain, [ann, bob], threshold=2)
    path.write_bytes(good[:-20])
    with pytest.raises(IntegrityError, match="damaged"):
        chain.roots()
    path.write_bytes(good)
    (chain.folder / "1.json").rename(chain.folder / "4.json")
    with pytest.raises(IntegrityError, match="damaged"):
        chain.roots()


@pytest.mark.parametrize(("threshold", "count"), [(3, 2), (2, 1)])
def test_a_threshold_that_nobody_reaches_is_refused(
    threshold: int, count: int, chain: TrustChain, people: list[Person]
) -> None:
    with pytest.raises(TrustError, match="threshold"):
        change(chain, people[:count], threshold)
    assert chain.roots() == ()


def test_a_file_that_is_wrong_changes_nothing(chain: TrustChain, tmp_path: Path) -> None:
    path = tmp_path / "signers"
    path.write_text("nobody\n")
    with pytest.raises(SignersError):
        next_root(chain, "farm", path, None, [])
    assert not chain.folder.exists()


def test_the_fleet_is_the_only_one_of_the_project(tmp_path: Path, people: list[Person]) -> None:
    assert choose_chain(tmp_path / "trust", None)[0] == "default"
    change(TrustChain(tmp_path / "trust" / "farm"), people[:1])
    assert choose_chain(tmp_path / "trust", None)[0] == "farm"
    (tmp_path / "trust" / "barn").mkdir()
    with pytest.raises(TrustError, match="several fleets: barn, farm"):
        choose_chain(tmp_path / "trust", None)
    with pytest.raises(TrustError, match="not a name"):
        choose_chain(tmp_path / "trust", "../../etc")
