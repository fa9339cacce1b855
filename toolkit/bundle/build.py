"""Builds a bundle: from models and the files beside them to one signed file."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from converters.evidence.conversion import models_in
from converters.formats import FORMATS, read_model_file
from converters.model_file import ModelFile
from device_agent.contract.manifest import (
    BOM,
    RELEASE_NAMESPACE,
    Blob,
    Manifest,
    Needs,
    Variant,
    encode_manifest,
    parse_manifest,
)
from device_agent.contract.records import RecordError
from device_agent.contract.signed_text import parse_time, time_text
from targets.execution import EDGETPU
from targets.progress import OnProgress, no_progress
from toolkit.bundle.bom import bill_of_materials
from toolkit.bundle.bundle_file import Bundle, BundleError, file_chunks, write_bundle
from toolkit.bundle.model_files import (
    ModelFiles,
    ReleaseFile,
    collect_model,
    extra_file,
    release_file,
)
from toolkit.bundle.peak_memory import peak_memory
from toolkit.bundle.settings import BundleSettings, BundleSettingsError, VariantSettings
from toolkit.bundle.signing import sign
from toolkit.bundle.variant_names import name_variants
from toolkit.judge.gates import GATES


@dataclass(frozen=True)
class BundleRequest:
    """Content and names of a bundle to build."""

    files: tuple[Path, ...]
    """Models, folders of conversions, and other files that every variant gets."""
    app: str
    """Name of the application."""
    out: Path
    """Path of the bundle."""
    version: str = ""
    """Version for people; empty for the time of creation."""
    created: str = ""
    """UTC, ISO 8601; empty for `SOURCE_DATE_EPOCH`, or for now."""
    counter: int | None = None
    """Number of the release; `None` for the seconds from 1970 to `created`."""
    security_floor: int = 0
    """Lowest counter that boards accept from the confirmation of this release on."""
    expires: str = ""
    """UTC, ISO 8601, after which no board activates it; empty for never."""
    settings: BundleSettings = field(default_factory=BundleSettings)
    """Hooks, gates, licences and needs."""
    keys: tuple[Path, ...] = ()
    """Keys that sign, as `toolkit.bundle.signing.sign` takes them."""


def build_bundle(
    request: BundleRequest,
    on_progress: OnProgress = no_progress,
    sign_text: Callable[[bytes, Path, str], bytes] = sign,
) -> Bundle:
    """Build a bundle. Equal files, times and keys give equal bytes on one computer.

    Args:
        request: Content and names.
        on_progress: Called as the work goes on.
        sign_text: Signs bytes with a key for a purpose, as `toolkit.bundle.signing.sign` does; it
            may ask a person for a passphrase.

    Raises:
        BundleError: A file is absent, has a name that no release may have, or there is no model.
        BundleSettingsError: A setting is about something that is not there.
        ConversionError: A model or a file beside it is damaged.
        IntegrityError: Evidence is about another model, or a file changed meanwhile.
        SigningError: A key cannot sign; no file was written.
    """
    created = _creation_time(request.created)
    expires = request.expires and _time_of(request.expires, "expires")
    if expires and expires <= created:
        raise BundleError(
            f"expires: expected a time after the creation at {created}, found {expires}",
            "Give a later day with --expires.",
        )
    request = replace(request, created=created, expires=expires)
    models, extras = _read_files(request.files)
    collected = [collect_model(model, models, on_progress) for model in models]
    names = name_variants(models)
    by_name = {name: collected[position] for position, name in names.items()}
    manifest = _manifest_of(request, by_name, extras)
    bom = bill_of_materials(manifest, by_name, extras)
    own = [file for files in collected for file in (*files.board, *files.host)]
    files = [*own, *extras, release_file("bom.json", BOM, bom)]
    _refuse_own_input(request.out, files)
    # Of equal files the first says the role: that of a model counts.
    blobs = {file.sha256: Blob(file.size, file.role) for file in reversed(files)}
    text = _encode(replace(manifest, blobs=blobs))
    signatures = tuple(sign_text(text, key, RELEASE_NAMESPACE) for key in request.keys)
    sources = {file.sha256: file.source for file in files}

    def chunks_of(sha256: str) -> Iterator[bytes]:
        source = sources[sha256]
        return iter([source]) if isinstance(source, bytes) else file_chunks(source)

    return write_bundle(request.out, text, signatures, chunks_of)


def _manifest_of(
    request: BundleRequest, models: Mapping[str, ModelFiles], extras: Sequence[ReleaseFile]
) -> Manifest:
    """Return the manifest of a request whose times are complete, without its blobs."""
    settings = request.settings
    _check_settings(settings, set(models))
    seconds = int(parse_time(request.created, "created"))
    return Manifest(
        app=request.app,
        version=request.version or request.created,
        counter=seconds if request.counter is None else request.counter,
        created=request.created,
        blobs={},
        variants=[
            _variant(name, files, extras, settings.variants.get(name, VariantSettings()))
            for name, files in models.items()
        ],
        security_floor=request.security_floor,
        expires=request.expires,
        hooks=settings.hooks,
        gates=dict(settings.gates),
        provenance={
            "kedge": version("kedge"),
            "licences": dict(settings.licences),
            "variants": {name: _evidence(files) for name, files in models.items()},
        },
    )


def _encode(manifest: Manifest) -> bytes:
    text = encode_manifest(manifest)
    try:
        parse_manifest(text)
    except RecordError as error:
        raise BundleError(
            f"the release cannot be built: {error}", "Correct the name or the value."
        ) from error
    return text


def _refuse_own_input(out: Path, files: Sequence[ReleaseFile]) -> None:
    for file in files:
        if isinstance(file.source, Path) and out.resolve() == file.source.resolve():
            raise BundleError(
                f"{out}: is a file of the release, and the bundle would replace it",
                "Name another file with --out.",
            )


def _read_files(paths: Sequence[Path]) -> tuple[list[ModelFile], list[ReleaseFile]]:
    """Read the models, and describe the other files."""
    paths = [each for path in paths for each in (models_in(path) if path.is_dir() else [path])]
    models = [read_model_file(path) for path in paths if path.suffix[1:] in FORMATS]
    if not models:
        raise BundleError(
            "there is no model among the files", f"Name at least one .{' or .'.join(FORMATS)}."
        )
    for position, model in enumerate(models):
        if model.sha256 in {earlier.sha256 for earlier in models[:position]}:
            raise BundleError(f"{model.path}: this model is given twice", "Name each model once.")
    return models, [extra_file(path) for path in paths if path.suffix[1:] not in FORMATS]


def _variant(
    name: str, files: ModelFiles, extras: Sequence[ReleaseFile], settings: VariantSettings
) -> Variant:
    model = files.model
    model_format = FORMATS[model.format]
    ops: dict[str, int] = {}
    for operator in model.operators:
        if not operator.custom:
            least = max(operator.version, operator.least_version)
            ops[operator.name] = max(least, ops.get(operator.name, 0))
    needs = Needs(
        architectures=list(settings.architectures),
        runtimes=dict(model_format.lowest_runtimes(model)),
        ops=ops,
        accelerator=EDGETPU if model.edgetpu else "",
        memory_bytes=settings.memory_bytes or peak_memory(model.sha256),
    )
    paths: dict[str, str] = {}
    for file in (*files.board, *extras):
        if paths.setdefault(file.path, file.sha256) != file.sha256:
            raise BundleError(
                f"variant {name} has two different files with the path {file.path}",
                "Give one of them another name.",
            )
    host = {file.path: file.sha256 for file in files.host}
    return Variant(name, model.format, files.board[0].path, paths, needs, host)


def _evidence(files: ModelFiles) -> dict[str, Any]:
    """Origin of a model in the words of the manifest; conversion.json has all of it."""
    conversion = files.conversion
    if conversion is None:
        return {}
    plain: dict[str, Any] = {
        "recipe": conversion.recipe,
        "seed": conversion.seed,
        "source_sha256": conversion.source_sha256,
        "data_sha256": conversion.data_sha256,
        "versions": dict(conversion.versions),
    }
    if files.reference is not files.model:
        plain["compiled_from"] = files.reference.sha256
    if conversion.accuracy is not None:
        plain["accuracy"] = conversion.accuracy.fraction
    if conversion.metric is not None:
        plain[conversion.metric.name] = conversion.metric.file
    return plain


def _check_settings(settings: BundleSettings, names: set[str]) -> None:
    for name in settings.variants.keys() - names:
        raise BundleSettingsError(
            f"there is no variant {name!r}; there are {', '.join(sorted(names))}",
            "Correct [variants] in the settings.",
        )
    for name, limit in settings.gates.items():
        gate = GATES.get(name)
        if gate is None:
            raise BundleSettingsError(
                f"there is no gate {name!r}; known are {', '.join(GATES)}",
                "Correct [gates] in the settings.",
            )
        if not gate.least <= limit <= gate.most:
            raise BundleSettingsError(
                f"gates.{name}: expected {gate.least:g} to {gate.most:g}, found {limit:g}",
                f"It is {gate.limit}.",
            )


def _creation_time(text: str) -> str:
    if text:
        return _time_of(text, "created")
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if epoch and not (epoch.isascii() and epoch.isdigit() and len(epoch) < 12):
        raise BundleError(
            f"SOURCE_DATE_EPOCH: expected seconds since 1970, found {epoch[:40]!r}",
            "Correct the environment variable, or give --created.",
        )
    return time_text(int(epoch) if epoch else time.time())


def _time_of(text: str, name: str) -> str:
    """Return a time as manifests have it; a day alone is its first second in UTC."""
    full = f"{text}T00:00:00Z" if len(text) == len("2026-11-30") else text
    try:
        parse_time(full, name)
    except RecordError as error:
        raise BundleError(str(error), "Write a day such as 2026-11-30, or a time.") from error
    return full
