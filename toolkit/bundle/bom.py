"""The bill of materials of a release, as CycloneDX: models, their origin, data, tools, licences.

Regulation such as the Cyber Resilience Act of the EU asks manufacturers for one. The library has no
model cards yet, so they are added to its JSON; a test validates the whole by the library's schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType, Pedigree
from cyclonedx.model.dependency import Dependency
from cyclonedx.model.license import License
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6

from converters.judge.score import FILE
from converters.tensor_spec import TensorSpec
from device_agent.contract.manifest import CARD, DATA, LABELS, Manifest, Variant
from device_agent.contract.names import require_sha256
from device_agent.contract.records import RecordError
from device_agent.contract.signed_text import parse_time
from toolkit.bundle.model_files import ModelFiles, ReleaseFile

#: Prefix of our properties, as the format recommends (CycloneDX property taxonomy).
_PREFIX = "kedge:"

_DIGEST_OF_DATA = (
    "SHA-256 of the file; for a folder, of the sorted relative names and the contents of its files"
)


def bill_of_materials(
    manifest: Manifest, models: Mapping[str, ModelFiles], extras: Sequence[ReleaseFile]
) -> bytes:
    """Write the bill of materials of a release; equal arguments give equal bytes.

    Args:
        manifest: Manifest of the release; its blobs are not read.
        models: Model of each variant by name.
        extras: Other files that every variant has.

    Returns:
        CycloneDX 1.6 in JSON.
    """
    licences = manifest.provenance.get("licences", {})
    app = Component(
        name=manifest.app,
        version=manifest.version,
        type=ComponentType.APPLICATION,
        bom_ref="app",
        licenses=_licences(licences.get("app")),
    )
    sources = _by_digest(map(_source_of, models.values()))
    data = _by_digest(_data_of(files, licences.get("data")) for files in models.values())
    components = {
        variant.name: _model_component(variant, models[variant.name], manifest, sources)
        for variant in manifest.variants
    }
    files = _by_digest(
        map(_file_component, [*extras, *(f for each in models.values() for f in each.board)])
    )
    created = datetime.fromtimestamp(parse_time(manifest.created, "created"), timezone.utc)
    name = f"kedge:{manifest.app}:{manifest.counter}:{manifest.created}"
    digests = sorted(files.model.sha256 for files in models.values())
    bom = Bom(
        serial_number=uuid5(NAMESPACE_URL, f"{name}:{':'.join(digests)}"),
        components=[*components.values(), *data.values(), *files.values()],
        metadata=BomMetaData(
            timestamp=created,
            component=app,
            tools=ToolRepository(components=_tools(manifest, models)),
        ),
        dependencies=_dependencies(app, components, models, data),
    )
    plain = json.loads(JsonV1Dot6(bom).output_as_string())
    for part in plain["components"]:
        if part["type"] == "machine-learning-model":
            part["modelCard"] = _model_card(models[part["name"].split("/")[-1]])
    return (json.dumps(plain, indent=2, sort_keys=True) + "\n").encode()


def _model_component(
    variant: Variant, files: ModelFiles, manifest: Manifest, sources: Mapping[str, Component]
) -> Component:
    conversion, needs = files.conversion, variant.needs
    properties = {
        "format": variant.format,
        "accelerator": needs.accelerator,
        **{f"needs:{name}": f">={version}" for name, version in needs.runtimes.items()},
        **{f"operator:{name}": str(number) for name, number in needs.ops.items()},
    }
    if files.reference is not files.model:
        properties["compiled_from"] = files.reference.sha256
    if conversion is not None:
        properties |= {
            "recipe": conversion.recipe,
            "recipe_steps": json.dumps(conversion.recipe_steps, sort_keys=True),
            "seed": str(conversion.seed),
        }
    source = sources.get(conversion.source_sha256) if conversion else None
    return Component(
        name=f"{manifest.app}/{variant.name}",
        version=manifest.version,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=f"model:{variant.name}",
        hashes=_hashes(files.model.sha256),
        licenses=_licences(manifest.provenance.get("licences", {}).get("model")),
        properties=_properties(properties),
        pedigree=Pedigree(ancestors=[source]) if source else None,
    )


def _source_of(files: ModelFiles) -> Component | None:
    conversion = files.conversion
    if conversion is None or not _is_digest(conversion.source_sha256):
        return None
    return Component(
        name=Path(conversion.source).name,
        type=ComponentType.FILE,
        bom_ref=f"source:{conversion.source_sha256[:16]}",
        hashes=_hashes(conversion.source_sha256),
        description="Model before the conversion",
    )


def _data_of(files: ModelFiles, licence: str | None) -> Component | None:
    conversion = files.conversion
    if conversion is None or not _is_digest(conversion.data_sha256):
        return None
    uses = {f"samples:{split.name}": str(split.samples) for split in conversion.splits}
    return Component(
        name=Path(conversion.data).name,
        type=ComponentType.DATA,
        bom_ref=f"data:{conversion.data_sha256[:16]}",
        hashes=_hashes(conversion.data_sha256),
        licenses=_licences(licence),
        properties=_properties({"digest": _DIGEST_OF_DATA, **uses}),
    )


def _file_component(file: ReleaseFile) -> Component | None:
    if file.role not in (CARD, LABELS, DATA):
        return None
    return Component(
        name=file.path,
        type=ComponentType.FILE,
        bom_ref=f"file:{file.sha256[:16]}",
        hashes=_hashes(file.sha256),
        properties=_properties({"role": file.role}),
    )


def _tools(manifest: Manifest, models: Mapping[str, ModelFiles]) -> list[Component]:
    """Tools that converted the models, and kedge itself; each version once."""
    tools = {("kedge", manifest.provenance["kedge"])}
    for files in models.values():
        tools |= set(files.conversion.versions.items()) if files.conversion else set()
    return [
        Component(
            name=name,
            version=version,
            bom_ref=f"tool:{name}@{version}",
            type=ComponentType.APPLICATION if name == "kedge" else ComponentType.LIBRARY,
        )
        for name, version in sorted(tools)
    ]


def _dependencies(
    app: Component,
    components: Mapping[str, Component],
    models: Mapping[str, ModelFiles],
    data: Mapping[str, Component],
) -> list[Dependency]:
    parts = [Dependency(component.bom_ref) for component in components.values()]
    dependencies = [Dependency(app.bom_ref, parts)]
    for name, component in components.items():
        conversion = models[name].conversion
        samples = data.get(conversion.data_sha256) if conversion else None
        sources = [Dependency(samples.bom_ref)] if samples else []
        dependencies.append(Dependency(component.bom_ref, sources))
    return dependencies


def _model_card(files: ModelFiles) -> dict[str, Any]:
    """The part `modelCard` of a component, by the schema of CycloneDX 1.6."""
    conversion = files.conversion
    parameters: dict[str, Any] = {
        "inputs": [{"format": _tensor_text(spec)} for spec in files.model.inputs],
        "outputs": [{"format": _tensor_text(spec)} for spec in files.model.outputs],
    }
    if conversion is None:
        return {"modelParameters": parameters}
    if conversion.accuracy is not None:
        parameters["task"] = "classification"
    elif conversion.metric is not None:
        parameters["task"] = conversion.metric.kind
    if _is_digest(conversion.data_sha256):
        parameters["datasets"] = [{"ref": f"data:{conversion.data_sha256[:16]}"}]
    metrics = [
        _metric("accuracy", score.accuracy, score.split, score.interval)
        for score in conversion.scores
        if score.subject == FILE
    ]
    for figures in filter(None, (conversion.metric, *conversion.output_figures)):
        metrics += [
            _metric(figures.name, score.value, score.split, score.interval)
            for score in figures.scores
            if score.subject == FILE
        ]
    card: dict[str, Any] = {"modelParameters": parameters}
    if metrics:
        card["quantitativeAnalysis"] = {"performanceMetrics": metrics}
    return card


def _metric(name: str, value: float, split: str, interval: tuple[float, float]) -> dict[str, Any]:
    return {
        "type": name,
        "value": f"{value:.6g}",
        "slice": split,
        "confidenceInterval": {
            "lowerBound": f"{interval[0]:.6g}",
            "upperBound": f"{interval[1]:.6g}",
        },
    }


def _tensor_text(spec: TensorSpec) -> str:
    return f"{spec.dtype} {list(spec.shape)}"


def _hashes(sha256: str) -> list[HashType]:
    return [HashType(alg=HashAlgorithm.SHA_256, content=sha256)]


def _properties(values: Mapping[str, str]) -> list[Property]:
    return [Property(name=_PREFIX + name, value=value) for name, value in values.items() if value]


def _licences(text: str | None) -> list[License]:
    return [LicenseFactory().make_from_string(text)] if text else []


def _by_digest(components: Iterable[Component | None]) -> dict[str, Component]:
    """Components by SHA-256, each once."""
    return {
        next(iter(component.hashes)).content: component for component in components if component
    }


def _is_digest(text: str) -> bool:
    try:
        return bool(require_sha256(text, "digest"))
    except RecordError:
        return False
