"""Enrols on boards who may sign releases and orders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from device_agent.contract.codes import NO_VERIFIER, IntegrityError
from device_agent.contract.names import require_app
from device_agent.contract.records import RecordError
from device_agent.contract.release_state import BoardReleases
from device_agent.contract.trust_root import ROOT_NAMESPACE, TrustRoot, encode_root, parse_root
from targets.agent_client import AgentError
from targets.errors import TargetError
from targets.inventory import Target
from targets.provision import open_device
from targets.releases import Releases
from toolkit.bundle.signers_file import SignersError, parse_signers, read_signers
from toolkit.bundle.signing import sign
from toolkit.fleet.trust_chain import (
    SignedRoot,
    TrustChain,
    TrustError,
    find_chains,
    lacking_signatures,
)

#: Name of a fleet that nobody named.
DEFAULT_FLEET = "default"

#: Boards that are enrolled at the same time; the host only waits.
_AT_ONCE = 16


@dataclass(frozen=True)
class BoardTrust:
    """What one board trusts."""

    target: str
    fleet: str = ""
    """Name of the fleet; empty where no root is enrolled."""
    version_before: int = 0
    """Version of the trust root before; 0 for none."""
    version: int = 0
    """Version of the trust root now; 0 for none."""
    verifier: str = ""
    """Version of the program that checks signatures there; empty where there is none."""
    root: TrustRoot | None = None
    """Trust root of the board; `None` for none, or where it could not be read."""
    error: TargetError | IntegrityError | SignersError | None = None
    """Reason why nothing was enrolled, or the board could not be asked."""


def choose_chain(folder: Path, fleet: str | None) -> tuple[str, TrustChain]:
    """Return the name of a fleet and the chain of its roots.

    Args:
        folder: Folder of all chains of the project.
        fleet: Name of the fleet; `None` for the only one of the project, or a new one.

    Raises:
        TrustError: The project has several fleets, and none was named; or the name is none.
    """
    chains = find_chains(folder)
    if fleet is None and len(chains) > 1:
        raise TrustError(
            f"the project has several fleets: {', '.join(chains)}", "Name one: --fleet NAME"
        )
    name = fleet or next(iter(chains), DEFAULT_FLEET)
    try:
        return require_app(name), TrustChain(folder / name)
    except RecordError as error:
        raise TrustError(
            f"{name!r} is not a name for a fleet",
            "Use small letters, digits, dots, dashes and underscores.",
        ) from error


def next_root(
    chain: TrustChain, fleet: str, signers: Path, threshold: int | None, keys: Sequence[Path]
) -> SignedRoot:
    """Write the root that a file of allowed signers calls for, with signatures by keys.

    Args:
        chain: Roots of the fleet.
        fleet: Name of the fleet.
        signers: File of allowed signers.
        threshold: Number of signers who must sign; `None` for that of the root before, or 1.
        keys: Keys that sign the root.

    Returns:
        Newest root of the fleet; it lacks no signature.

    Raises:
        TrustError: Too few have signed; the root and the signatures are kept for the next person.
        SignersError: The file is not right.
        SigningError: A key cannot sign; nothing was written.
        IntegrityError: The roots of the project are damaged.
    """
    roots = chain.roots()
    lines = sorted(signer.line for signer in read_signers(signers))  # their order means nothing
    newest = roots[-1].root if roots else None
    root = TrustRoot(
        fleet=fleet,
        version=newest.version if newest else 1,
        threshold=threshold or (newest.threshold if newest else 1),
        signers=lines,
    )
    entry = roots[-1] if roots else None
    if entry is None or entry.root != root:
        is_pending = len(roots) > 1 and bool(lacking_signatures(roots[-1], roots[-2].root))
        if is_pending:  # nobody has it yet, so that it may still say something else
            roots = roots[:-1]
        version = roots[-1].root.version + 1 if roots else 1
        entry = SignedRoot(*_checked(replace(root, version=version)))
    signatures = [sign(entry.text, key, ROOT_NAMESPACE) for key in keys]
    entry = chain.keep(entry.root, signatures)
    before = next((e.root for e in roots if e.root.version == entry.root.version - 1), None)
    gaps = lacking_signatures(entry, before)
    if gaps:
        raise TrustError(
            f"trust root {entry.root.version} of the fleet {fleet} lacks signatures: "
            f"{'; '.join(gaps)}. Nothing was changed on a board",
            "Repeat the command with --sign KEY for each of them, also on other computers: "
            f"signatures are kept in {chain.folder}.",
        )
    return entry


def adopt_root(folder: Path, target: Target) -> BoardTrust:
    """Take the trust root of a board into a project that has lost its own.

    The root of a board comes without signatures. So boards that trust an older one cannot be
    brought to it by this project.

    Args:
        folder: Folder of all chains of the project.
        target: Board.

    Returns:
        Trust of the board.

    Raises:
        TrustError: The board trusts nobody, or the project has roots of its fleet.
        TargetError: The board cannot be reached.
        IntegrityError: Its root is damaged.
    """
    trust = _enroll(target, ())
    if trust.error is not None:
        raise trust.error
    if trust.root is None:
        raise TrustError(f"{target.name} trusts nobody yet", "Enrol signers: --signers FILE")
    fleet, chain = choose_chain(folder, trust.root.fleet)
    if chain.roots():
        raise TrustError(
            f"the project has roots of the fleet {fleet} already, in {chain.folder}",
            "Keep them, or move the folder away first.",
        )
    chain.keep(trust.root, ())
    return trust


def enroll_trust(
    targets: Sequence[Target], roots: Sequence[SignedRoot], on_board: Callable[[BoardTrust], None]
) -> list[BoardTrust]:
    """Bring boards to the newest root, and report what each trusts.

    Args:
        targets: Boards.
        roots: Roots of the fleet by version, the newest last; empty to change nothing.
        on_board: Called from several threads with each board when it is done.

    Returns:
        Result of each board, in the order of `targets`.
    """

    def visit(target: Target) -> BoardTrust:
        trust = _enroll(target, roots)
        on_board(trust)
        return trust

    with ThreadPoolExecutor(_AT_ONCE) as workers:
        return list(workers.map(visit, targets))


def _enroll(target: Target, roots: Sequence[SignedRoot]) -> BoardTrust:
    trust = BoardTrust(target.name)
    try:
        with open_device(target) as device:
            state = device.releases.state()
            version = state.root_version
            trust = BoardTrust(target.name, state.fleet, version, version, state.verifier)
            if roots:
                _require_enrollable(target.name, state, roots[-1].root)
            for entry in _roots_to_send(target.name, version, roots):
                version = _send(device.releases, entry)
                trust = replace(trust, fleet=entry.root.fleet, version=version)
            root = device.releases.trust_root() if version else None
            parse_signers(root.signers if root else (), f"the trust root of {target.name}")
            trust = replace(trust, root=root)
    except (TargetError, IntegrityError, SignersError) as error:
        return replace(trust, error=error)
    return trust


def _require_enrollable(name: str, state: BoardReleases, newest: TrustRoot) -> None:
    if not state.verifier:
        raise AgentError(
            NO_VERIFIER,
            f"{name}: the board cannot check signatures: {state.verifier_absence}",
            "Install OpenSSH 8.1 or newer there, whose ssh-keygen knows -Y; push and bench work "
            "without it.",
        )
    if state.root_version and state.fleet != newest.fleet:
        raise TargetError(
            f"{name}: the board belongs to the fleet {state.fleet}, not to {newest.fleet}",
            f"Name its fleet: --fleet {state.fleet}; or remove kedge's files from the board, and "
            "enrol it anew.",
        )
    if state.root_version > newest.version:
        raise TargetError(
            f"{name}: the board trusts root {state.root_version}, this project has "
            f"{newest.version} as the newest",
            "Copy the newer roots of the fleet into the project, from who wrote them.",
        )


def _roots_to_send(name: str, version: int, roots: Sequence[SignedRoot]) -> Sequence[SignedRoot]:
    """Return the roots that a board needs in turn; the newest also where it has it."""
    if not roots:
        return ()
    if version == 0 or version == roots[-1].root.version:
        return roots[-1:]
    if version + 1 < roots[0].root.version:
        raise TargetError(
            f"{name}: the board trusts root {version}, and this project has no root "
            f"{version + 1}, which must come next",
            "Copy the older roots of the fleet into the project.",
        )
    return [entry for entry in roots if entry.root.version > version]


def _send(releases: Releases, entry: SignedRoot) -> int:
    return releases.trust(entry.text, entry.signatures)


def _checked(root: TrustRoot) -> tuple[TrustRoot, bytes]:
    """Return a root and its bytes if every board accepts its form.

    Raises:
        TrustError: The fleet, the threshold or a signer is not right.
    """
    text = encode_root(root)
    try:
        parse_signers(root.signers, "the trust root")
        return parse_root(text), text
    except RecordError as error:
        raise TrustError(
            f"no board accepts this trust root: {error}",
            "Correct --fleet, --threshold or --signers.",
        ) from error
