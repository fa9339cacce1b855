"""From files to a bundle: variants with their needs, golden vectors, evidence, and equal bytes."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.digest import sha256_of
from converters.errors import ConversionError
from converters.formats import read_model_file
from device_agent.contract.codes import IntegrityError
from device_agent.contract.manifest import RELEASE_NAMESPACE, Manifest
from tests.tiny_model import custom_op_model, pictures_model, relu_model, too_new_model
from tests.toolkit.bundle.conversion_folder import compiled_model, write_conversion_folder
from tests.toolkit.bundle.small_bundle import make_key
from tests.toolkit.measurements import measurement
from toolkit.bundle.build import BundleRequest, build_bundle
from toolkit.bundle.bundle_file import BundleError, unpack_variant, verify_bundle
from toolkit.bundle.golden_outputs import GOLDEN_OUTPUTS_NAME, golden_of_variant
from toolkit.bundle.settings import BundleSettingsError, read_bundle_settings
from toolkit.bundle.signing import SigningError, check_signature
from toolkit.judge.gates import GATES
from toolkit.judge.golden_parity import compare_golden
from toolkit.measure.outputs import host_class
from toolkit.report.record import records_of_measurement
from toolkit.results.store import open_results

CREATED = "2026-11-30T12:00:00Z"


def request_of(folder: Path, *files: Path) -> BundleRequest:
    return BundleRequest(files, "cats", folder / "cats.bundle", created=CREATED)


def roles(manifest: Manifest, files: dict[str, str]) -> dict[str, str]:
    return {path: manifest.blobs[sha256].role for path, sha256 in files.items()}


def test_a_conversion_becomes_a_release_with_all_that_is_known_about_it(tmp_path: Path) -> None:
    model = write_conversion_folder(tmp_path / "out")
    (tmp_path / "thresholds.json").write_text("{}")
    bundle = build_bundle(request_of(tmp_path, model, tmp_path / "thresholds.json"))
    verify_bundle(bundle)

    (variant,) = bundle.manifest.variants
    assert roles(bundle.manifest, variant.files) == {
        "model.tflite": "model",
        "model.toml": "card",
        "labels.txt": "labels",
        "thresholds.json": "data",
    }
    assert roles(bundle.manifest, variant.host_files) == {
        "conversion.json": "evidence",
        "golden.npz": "golden",
        GOLDEN_OUTPUTS_NAME: "golden",
    }
    assert (variant.name, variant.format, variant.model) == ("cpu_int8", "tflite", "model.tflite")
    assert variant.needs.ops == {"RELU": 2}
    assert variant.needs.runtimes["tflite-runtime"] == "2.1"
    assert bundle.manifest.counter == 1796040000
    evidence = bundle.manifest.provenance["variants"]["cpu_int8"]
    assert evidence["recipe"] == "ptq_w8a8"
    assert evidence["accuracy"] == pytest.approx(0.98)

    unpacked = unpack_variant(bundle, "cpu_int8", tmp_path / "unpacked")
    assert sha256_of(unpacked) == sha256_of(model)
    vectors = golden_of_variant(unpacked.parent)
    assert vectors is not None
    golden, outputs = vectors
    assert np.array_equal(outputs.outputs["y0"], np.maximum(golden.inputs["x"], 0))
    assert outputs.kernel_class == host_class("tflite")
    mine = (outputs.kernel_class, outputs.outputs)
    assert compare_golden(mine, mine, read_model_file(unpacked), golden).verdict == "EQUAL"


def test_equal_files_give_equal_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = make_key(tmp_path / "key")
    contents = []
    for name in ("one", "two"):
        model = write_conversion_folder(tmp_path / name)
        if name == "two":  # NumPy writes the time into the file
            shutil.copy(tmp_path / "one" / "golden.npz", tmp_path / "two")
            shutil.copy(tmp_path / "one" / "conversion.json", tmp_path / "two")
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "1796040000")
        request = replace(request_of(tmp_path, model.parent), created="", keys=(key,))
        contents.append(build_bundle(request).path.read_bytes())
    assert contents[0] == contents[1]


def test_several_models_are_variants_and_the_edge_tpu_comes_first(tmp_path: Path) -> None:
    model = write_conversion_folder(tmp_path / "out")
    compiled = tmp_path / "out" / "model_edgetpu.tflite"
    compiled.write_bytes(compiled_model())
    floats = tmp_path / "float.tflite"
    floats.write_bytes(pictures_model([[1, 4, 4, 3]]))
    other = tmp_path / "other.tflite"
    other.write_bytes(relu_model(outputs=2))

    bundle = build_bundle(request_of(tmp_path, floats, model, other, compiled))
    names = [variant.name for variant in bundle.manifest.variants]
    assert names == ["edgetpu_int8", "cpu_int8", "cpu_int8-2", "cpu_float"]
    edgetpu = bundle.manifest.variant("edgetpu_int8")
    assert edgetpu.needs.accelerator == "edgetpu"
    assert "edgetpu-custom-op" not in edgetpu.needs.ops
    same_vectors = {GOLDEN_OUTPUTS_NAME, "golden.npz", "conversion.json"}
    assert set(edgetpu.host_files) == same_vectors
    assert edgetpu.host_files == bundle.manifest.variant("cpu_int8").host_files
    evidence = bundle.manifest.provenance["variants"]["edgetpu_int8"]
    assert evidence["compiled_from"] == sha256_of(model)
    assert not bundle.manifest.variant("cpu_float").host_files


def test_a_signed_release_carries_each_signature(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(relu_model())
    keys = (make_key(tmp_path / "ann"), make_key(tmp_path / "bob"))
    bundle = build_bundle(replace(request_of(tmp_path, tmp_path / "m.tflite"), keys=keys))
    prints = [
        check_signature(bundle.manifest_text, signature, RELEASE_NAMESPACE).fingerprint
        for signature in bundle.signatures
    ]
    assert len(set(prints)) == 2

    absent = replace(request_of(tmp_path, tmp_path / "m.tflite"), keys=(tmp_path / "absent",))
    with pytest.raises(SigningError):
        build_bundle(replace(absent, out=tmp_path / "none.bundle"))
    assert not (tmp_path / "none.bundle").exists()


SETTINGS = """
[hooks]
reload = ["/usr/bin/systemctl", "--user", "reload", "cats"]
health = ["/usr/local/bin/cats-health"]

[licences]
model = "Apache-2.0"

[variants.cpu_int8]
architectures = ["aarch64", "armv7l"]
memory_bytes = 67108864
"""


def test_settings_come_into_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(relu_model())
    (tmp_path / "s.toml").write_text(SETTINGS)
    request = request_of(tmp_path, tmp_path / "m.tflite")
    settings = read_bundle_settings(tmp_path / "s.toml")
    request = replace(request, settings=settings, expires="2027-01-31", counter=7, version="1.2")
    manifest = build_bundle(request).manifest

    assert manifest.hooks.reload[-1] == "cats"
    assert manifest.provenance["licences"] == {"model": "Apache-2.0"}
    assert manifest.variants[0].needs.architectures == ["aarch64", "armv7l"]
    assert manifest.variants[0].needs.memory_bytes == 64 << 20
    assert (manifest.counter, manifest.version) == (7, "1.2")
    assert manifest.expires == "2027-01-31T00:00:00Z"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[hook]\nreload = []", "no key 'hook'"),
        ("[hooks]\nreload = ['systemctl']", "absolute path"),
        ("[hooks]\nreload = []", "absolute path"),
        ("[gates]\nlatency_ratio = nan", "expected a number"),
        ("[licences]\nphotos = 'x'", "no key 'photos' in [licences]"),
        ("[variants.cpu_int8]\nmemory_bytes = -1", "number of bytes"),
        ("[variants.cpu_int8]\narchitectures = 'arm'", "list of texts"),
        ("hooks = 3", "expected a table"),
        ("[", "not valid TOML"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(BundleSettingsError) as refusal:
        read_bundle_settings(tmp_path / "s.toml")
    assert words in str(refusal.value)
    assert refusal.value.exit_code == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[variants.gpu_int8]\nmemory_bytes = 1", "no variant 'gpu_int8'; there are cpu_int8"),
        ("[gates]\nspeed = 1", "no gate 'speed'"),
    ],
)
def test_a_setting_about_nothing_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "m.tflite").write_bytes(relu_model())
    (tmp_path / "s.toml").write_text(text)
    settings = read_bundle_settings(tmp_path / "s.toml")
    with pytest.raises(BundleSettingsError) as refusal:
        build_bundle(replace(request_of(tmp_path, tmp_path / "m.tflite"), settings=settings))
    assert words in str(refusal.value)


def test_a_limit_outside_of_what_makes_sense_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(relu_model())
    name, gate = next(iter(GATES.items()))
    (tmp_path / "s.toml").write_text(f"[gates]\n{name} = {gate.most * 2 + 1}")
    settings = read_bundle_settings(tmp_path / "s.toml")
    with pytest.raises(BundleSettingsError, match="expected"):
        build_bundle(replace(request_of(tmp_path, tmp_path / "m.tflite"), settings=settings))


def test_what_cannot_be_released_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    good = tmp_path / "m.tflite"
    good.write_bytes(relu_model())
    (tmp_path / "odd name.txt").write_text("x")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "m.bin").write_bytes(b"1")
    (tmp_path / "m.bin").write_bytes(b"2")
    (tmp_path / "cut.tflite").write_bytes(relu_model()[:100])
    base = request_of(tmp_path, good)
    cases = [
        (replace(base, files=(tmp_path / "m.bin",)), BundleError, "no model"),
        (replace(base, files=(good, good)), BundleError, "twice"),
        (replace(base, files=(good, tmp_path / "absent.txt")), BundleError, "expected a file"),
        (replace(base, files=(tmp_path / "absent.tflite",)), ConversionError, "absent.tflite"),
        (replace(base, files=(tmp_path / "cut.tflite",)), ConversionError, "cut.tflite"),
        (replace(base, files=(good, tmp_path / "odd name.txt")), BundleError, "odd name.txt"),
        (
            replace(base, files=(good, tmp_path / "m.bin", tmp_path / "other" / "m.bin")),
            BundleError,
            "two different files",
        ),
        (replace(base, out=good), BundleError, "would replace it"),
        (replace(base, app="Cats!"), BundleError, "small letters"),
        (replace(base, counter=0), BundleError, "counter"),
        (replace(base, counter=5, security_floor=6), BundleError, "security_floor"),
        (replace(base, expires="tomorrow"), BundleError, "expires"),
        (replace(base, expires="2026-11-30"), BundleError, "after the creation"),
        (replace(base, created="2026-13-01"), BundleError, "created"),
        (replace(base, out=tmp_path / "absent" / "b"), ConversionError, "cannot be written"),
    ]
    for request, error, words in cases:
        with pytest.raises(error, match=words):
            build_bundle(request)
    assert not list(tmp_path.glob("*cats.bundle*"))


def test_evidence_about_another_model_is_refused(tmp_path: Path) -> None:
    model = write_conversion_folder(tmp_path / "out")
    model.write_bytes(relu_model(outputs=2))
    with pytest.raises(IntegrityError, match="digest"):
        build_bundle(request_of(tmp_path, model))


def test_a_model_that_this_host_cannot_run_has_no_golden_outputs(tmp_path: Path) -> None:
    for name, content in (("custom", custom_op_model()), ("new", too_new_model())):
        (tmp_path / f"{name}.tflite").write_bytes(content)
    bundle = build_bundle(request_of(tmp_path, tmp_path / "custom.tflite", tmp_path / "new.tflite"))
    assert [variant.host_files for variant in bundle.manifest.variants] == [{}, {}]
    new = next(v for v in bundle.manifest.variants if v.needs.ops)
    assert new.needs.ops == {"FULLY_CONNECTED": 12}
    assert new.needs.runtimes == {
        "ai-edge-litert": "1.0",
        "tensorflow": "2.17",
        "tflite-runtime": "2.17",
    }


def test_memory_comes_from_the_measurements_of_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m.tflite").write_bytes(relu_model())
    (tmp_path / "kedge.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    request = request_of(tmp_path, tmp_path / "m.tflite")
    assert build_bundle(request).manifest.variants[0].needs.memory_bytes == 0

    own = replace(measurement([[1000] * 20]), model_sha256=sha256_of(tmp_path / "m.tflite"))
    (row,) = own.rows
    runs = tuple(
        replace(run, run=replace(run.run, peak_rss_bytes=peak))
        for peak, run in zip((30 << 20, 40 << 20), row.runs * 2, strict=True)
    )
    with open_results(tmp_path) as results:
        results.save(records_of_measurement(replace(own, rows=(replace(row, runs=runs),))))
        results.save(records_of_measurement(measurement([[1000] * 20])))  # of another model
    assert build_bundle(request).manifest.variants[0].needs.memory_bytes == 40 << 20


def test_golden_outputs_that_were_changed_are_refused(tmp_path: Path) -> None:
    bundle = build_bundle(request_of(tmp_path, write_conversion_folder(tmp_path / "out")))
    folder = unpack_variant(bundle, "cpu_int8", tmp_path / "unpacked").parent
    path = folder / GOLDEN_OUTPUTS_NAME
    content = path.read_bytes()
    for changed in (
        b"",
        content[:-10],
        b"x" + content[1:],
        content.replace(b"k\0\0\0e", b"q\0\0\0e"),
    ):
        path.write_bytes(changed)
        with pytest.raises(IntegrityError, match="golden inputs"):
            golden_of_variant(folder)
    path.unlink()
    assert golden_of_variant(folder) is None
