"""`kedge bundle`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.cli import output
from toolkit.cli.groups import CommandGroup
from toolkit.cli.options import as_json, file_path
from toolkit.cli.security_keys import note_touch
from toolkit.report import words

if TYPE_CHECKING:
    from toolkit.bundle.bundle_file import Bundle
    from toolkit.bundle.release_signers import ReleaseSigner

_SIGNERS = "File of allowed signers (ssh-keygen): a line `NAME KEY` for each."


@click.group("bundle", cls=CommandGroup)
def command() -> None:
    """Build, sign, show and verify releases: one file with models, evidence and signatures.

    \b
    kedge bundle build out labels.txt --name cats --out cats.bundle --sign ~/.ssh/id_ed25519
    kedge bundle show cats.bundle
    """


@command.command("build")
@click.argument("files", nargs=-1, required=True, type=file_path(), metavar="FILE…")
@click.option("--name", required=True, help="Name of the application.")
@click.option("--out", required=True, type=file_path(), help="Path of the bundle.")
@click.option(
    "--sign",
    "keys",
    multiple=True,
    type=file_path(),
    metavar="KEY",
    help="Private key, or the .pub of a key in the SSH agent; may be repeated.",
)
@click.option("--version", default="", help="Version for people; the time of creation without it.")
@click.option(
    "--counter",
    type=click.IntRange(1, 2**62),
    help="Number of the release, higher than that of the last; seconds since 1970 without it.",
)
@click.option(
    "--security-floor",
    type=click.IntRange(0, 2**62),
    default=0,
    help="Lowest counter that boards accept once this release is confirmed.",
)
@click.option("--expires", default="", metavar="DATE", help="No board activates it afterwards.")
@click.option(
    "--created",
    "creation",
    default="",
    metavar="TIME",
    help="Time of creation; SOURCE_DATE_EPOCH or now without it.",
)
@click.option(
    "--settings", type=file_path(), help="TOML file with hooks, gates, licences and needs."
)
@as_json
def build_command(
    files: tuple[Path, ...],
    name: str,
    out: Path,
    keys: tuple[Path, ...],
    version: str,
    counter: int | None,
    security_floor: int,
    expires: str,
    creation: str,
    settings: Path | None,
    as_json: bool,
) -> None:
    """Build a release of models and of other files.

    FILE is a .tflite or .onnx, a folder of `kedge convert`, or any other file, such as labels.
    Each model is a variant; the files that belong to it (model.toml, conversion.json, golden.npz)
    are taken from its folder, and this computer's outputs of the golden inputs are added. A board
    gets the first variant that it can run. Equal files and times give equal bytes.

    \b
    kedge bundle build out --name cats --out cats.bundle --sign ~/.ssh/id_ed25519
    kedge bundle build out out/model_edgetpu.tflite thresholds.json --name cats --out cats.bundle
    kedge bundle build out --name cats --out cats.bundle --settings cats.toml --expires 2027-12-31
    """
    from toolkit.bundle.build import BundleRequest, build_bundle
    from toolkit.bundle.release_signers import identify_signers
    from toolkit.bundle.settings import read_bundle_settings

    request = BundleRequest(
        files,
        name,
        out,
        version,
        creation,
        counter,
        security_floor,
        expires,
        read_bundle_settings(settings),
        keys,
    )
    with output.progress() as on_progress:
        bundle = build_bundle(request, on_progress, _sign)
    _show(bundle, identify_signers(bundle), as_json)
    if not as_json:
        size = words.size(out.stat().st_size)
        output.note(f"{words.path(out)}: {size}")


@command.command("show")
@click.argument("bundle", type=file_path())
@click.option("--signers", type=file_path(), help=_SIGNERS)
@click.option("--bom", type=file_path(), help="Write the bill of materials (CycloneDX) there.")
@as_json
def show_command(bundle: Path, signers: Path | None, bom: Path | None, as_json: bool) -> None:
    """Show what a bundle holds, what it needs, and who signed it.

    Every byte is compared with its digests and signatures first (exit code 5 if one differs).

    \b
    kedge bundle show cats.bundle
    kedge bundle show cats.bundle --bom cats.cdx.json
    """
    from toolkit.bundle.bundle_file import read_bundle, verify_bundle
    from toolkit.bundle.release_signers import identify_signers

    content = read_bundle(bundle)
    verify_bundle(content)
    _show(content, identify_signers(content, signers), as_json)
    if bom is not None:
        _write_bom(content, bom)


@command.command("verify")
@click.argument("bundle", type=file_path())
@click.option("--signers", type=file_path(), help=f"{_SIGNERS} Its keys are trusted.")
@click.option(
    "--threshold",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="Number of different trusted keys that must have signed.",
)
@as_json
def verify_command(bundle: Path, signers: Path | None, threshold: int, as_json: bool) -> None:
    """Compare every byte of a bundle with its digests and signatures (exit code 5 if one differs).

    With --signers also: whether enough trusted keys have signed it (exit code 8 if not).

    \b
    kedge bundle verify cats.bundle
    kedge bundle verify cats.bundle --signers release_signers --threshold 2
    """
    from toolkit.bundle.bundle_file import read_bundle, verify_bundle
    from toolkit.bundle.release_signers import identify_signers, require_trust

    if signers is None and threshold > 1:
        raise click.UsageError("--threshold needs --signers: without it no key is trusted")
    content = read_bundle(bundle)
    verify_bundle(content)
    keys = identify_signers(content, signers)
    if signers is not None:
        require_trust(content, keys, threshold)
    if as_json:
        from toolkit.report.bundle import plain_bundle

        output.print_json(plain_bundle(content, keys))
        return
    count = len({key.fingerprint for key in keys})
    by = ", ".join(dict.fromkeys(key.name or key.fingerprint for key in keys)) or "nobody"
    trust = f"{count} key{'' if count == 1 else 's'}" if signers is None else "trusted"
    output.say(
        f"{words.path(bundle)}: every byte is right; {len(content.entries)} files; "
        f"signed by {by} ({trust})"
    )


@command.command("sign")
@click.argument("bundle", type=file_path())
@click.option(
    "--sign",
    "key",
    required=True,
    type=file_path(),
    metavar="KEY",
    help="Private key, or the .pub of a key in the SSH agent.",
)
def sign_command(bundle: Path, key: Path) -> None:
    """Add a signature to a bundle, after all of it was verified.

    \b
    kedge bundle sign cats.bundle --sign ~/.ssh/id_ed25519
    """
    from toolkit.bundle.bundle_file import read_bundle
    from toolkit.bundle.release_signers import add_signature

    content = read_bundle(bundle)
    signed, signer = add_signature(content, key, _sign)
    if signed is content:
        output.say(f"{words.path(bundle)}: {signer.fingerprint} has signed it already")
    else:
        count = len(signed.signatures)
        output.say(f"{words.path(bundle)}: signed by {signer.fingerprint}, signatures: {count}")


@command.command("consumer")
@click.argument("name")
@click.option(
    "--language", type=click.Choice(["python", "cpp"]), default="python", show_default=True
)
@click.option(
    "--root",
    default="/home/pi/.local/share/kedge",
    show_default=True,
    help="kedge's folder on the board.",
)
def consumer_command(name: str, language: str, root: str) -> None:
    """Print the lines by which an application opens its active release and reloads on change.

    \b
    kedge bundle consumer cats --language cpp
    """
    from toolkit.bundle.consumer import consumer_lines

    output.say(consumer_lines(name, root, language).rstrip())


def _sign(text: bytes, key: Path, namespace: str) -> bytes:
    """Sign where ssh-keygen can ask for a passphrase, and a person sees what to touch."""
    from toolkit.bundle.signing import sign

    with output.pause_progress():
        note_touch([key])
        return sign(text, key, namespace)


def _show(bundle: Bundle, signers: tuple[ReleaseSigner, ...], as_json: bool) -> None:
    from toolkit.report.bundle import describe_bundle, plain_bundle

    if as_json:
        output.print_json(plain_bundle(bundle, signers))
    else:
        output.print_blocks(describe_bundle(bundle, signers))


def _write_bom(bundle: Bundle, out: Path) -> None:
    from device_agent.contract.manifest import BOM
    from toolkit.bundle.bundle_file import BundleError, extract_blob

    for sha256, blob in bundle.manifest.blobs.items():
        if blob.role == BOM:
            extract_blob(bundle, sha256, out)
            output.note(f"{words.path(out)}: bill of materials, CycloneDX in JSON")
            return
    raise BundleError(
        f"{bundle.path}: has no bill of materials", "Build it with `kedge bundle build`."
    )
