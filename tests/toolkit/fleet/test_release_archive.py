"""The releases that a project keeps."""

from pathlib import Path

from tests.toolkit.bundle.small_bundle import write_small
from toolkit.bundle.bundle_file import read_bundle
from toolkit.fleet.release_archive import ReleaseArchive


def test_a_damaged_file_of_a_variant_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "small.bundle"
    write_small(path)
    bundle = ReleaseArchive(tmp_path / "releases").keep(read_bundle(path))
    (variant, *_) = bundle.manifest.variants
    file = ReleaseArchive(tmp_path / "releases").unpack(bundle, variant) / variant.model
    whole = file.read_bytes()
    for content in (b"", whole[:-1] + b"x"):
        file.write_bytes(content)
        folder = ReleaseArchive(tmp_path / "releases").unpack(bundle, variant)
        assert (folder / variant.model).read_bytes() == whole
    file.unlink()
    assert (ReleaseArchive(tmp_path / "releases").unpack(bundle, variant) / variant.model).is_file()
