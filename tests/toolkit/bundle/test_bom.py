"""The bill of materials is valid CycloneDX, and names all that a release consists of."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from converters.digest import sha256_of
from tests.toolkit.bundle.conversion_folder import compiled_model, write_conversion_folder
from toolkit.bundle.build import BundleRequest, build_bundle
from toolkit.bundle.bundle_file import Bundle, extract_blob
from toolkit.bundle.settings import BundleSettings


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    model = write_conversion_folder(tmp_path / "out")
    (tmp_path / "out" / "model_edgetpu.tflite").write_bytes(compiled_model())
    (tmp_path / "thresholds.json").write_text("{}")
    files = (model, model.with_name("model_edgetpu.tflite"), tmp_path / "thresholds.json")
    licences = {"app": "MIT OR Apache-2.0", "model": "Apache-2.0", "data": "our own photos"}
    request = BundleRequest(
        files, "animals", tmp_path / "b", settings=BundleSettings(licences=licences)
    )
    return build_bundle(replace(request, created="2026-11-30T12:00:00Z", version="1.4"))


@pytest.fixture
def text(bundle: Bundle, tmp_path: Path) -> str:
    (bom,) = (sha for sha, blob in bundle.manifest.blobs.items() if blob.role == "bom")
    extract_blob(bundle, bom, tmp_path / "bom.json")
    return (tmp_path / "bom.json").read_text()


def test_it_is_valid_by_the_schema_of_cyclonedx(text: str) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def components(text: str) -> dict[str, dict[str, Any]]:
    return {part["bom-ref"]: part for part in json.loads(text)["components"]}


def test_models_have_digests_licences_cards_and_their_origin(text: str, tmp_path: Path) -> None:
    parts = components(text)
    model = parts["model:cpu_int8"]
    assert model["type"] == "machine-learning-model"
    assert model["hashes"] == [
        {"alg": "SHA-256", "content": sha256_of(tmp_path / "out" / "model.tflite")}
    ]
    assert model["licenses"][0]["license"]["id"] == "Apache-2.0"
    assert model["pedigree"]["ancestors"][0]["hashes"][0]["content"] == "a" * 64
    card = model["modelCard"]
    assert card["modelParameters"]["task"] == "classification"
    assert card["modelParameters"]["inputs"] == [{"format": "int8 [1, 4]"}]
    (metric,) = card["quantitativeAnalysis"]["performanceMetrics"]
    assert (metric["type"], metric["value"], metric["slice"]) == ("accuracy", "0.98", "test")
    properties = {entry["name"]: entry["value"] for entry in model["properties"]}
    assert properties["kedge:recipe"] == "ptq_w8a8"
    assert properties["kedge:needs:tflite-runtime"] == ">=2.1"
    compiled = {e["name"]: e["value"] for e in parts["model:edgetpu_int8"]["properties"]}
    assert compiled["kedge:compiled_from"] == sha256_of(tmp_path / "out" / "model.tflite")


def test_data_files_and_tools_are_named(text: str) -> None:
    parts = components(text)
    data = parts["data:" + "b" * 16]
    assert (data["type"], data["name"]) == ("data", "animals.npz")
    assert data["licenses"] == [{"license": {"name": "our own photos"}}]
    names = {part["name"] for part in parts.values() if part["type"] == "file"}
    assert names == {"labels.txt", "model.toml", "thresholds.json"}
    metadata = json.loads(text)["metadata"]
    assert metadata["timestamp"] == "2026-11-30T12:00:00+00:00"
    assert (metadata["component"]["name"], metadata["component"]["version"]) == ("animals", "1.4")
    tools = {tool["name"]: tool["version"] for tool in metadata["tools"]["components"]}
    assert tools["tensorflow"] == "2.21.0"
    assert "kedge" in tools


def test_dependencies_name_components_that_are_there(text: str) -> None:
    plain = json.loads(text)
    known = {"app", *components(text), *(
        ancestor["bom-ref"]
        for part in plain["components"]
        for ancestor in part.get("pedigree", {}).get("ancestors", [])
    )}  # fmt: skip
    for entry in plain["dependencies"]:
        assert {entry["ref"], *entry.get("dependsOn", [])} <= known
