"""The JSON of a Keras file, checked before a framework reads the file.

Every member of a .keras and every array of an .h5 is bounded before it is unpacked.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

from converters.errors import ConversionError
from converters.sources.allowed_classes import refuse_code
from converters.sources.architecture import decode_tuples
from converters.sources.declared_weights import refuse_declared_weights
from converters.sources.hdf5_links import check_links, is_hdf5
from converters.sources.kinds import GIVE_A_MODEL

_VERSION, _CONFIG, _WEIGHTS = "metadata.json", "config.json", "model.weights.h5"
#: Vocabularies that lookup layers keep beside the weights; Keras unpacks them by these names.
_ASSET = re.compile(r"assets/(?:[A-Za-z0-9_-]+/)+vocabulary\.txt")
#: Most bytes of the JSON of a model; that of a network of 1,000 layers is 1 MB.
_MOST_JSON = 32 * 2**20
#: Bytes that the weights may have for each byte of the .keras, and beside them.
_MOST_RATIO, _MOST_EXTRA = 20, 2**24
#: Keys that are read only for a model that is compiled, which kedge never does.
_COMPILE_KEYS = ("compile_config", "training_config")
_ENCRYPTED = 1
#: Most members; each layer with a vocabulary has one or two.
_MOST_MEMBERS = 1_000
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    EOFError,
    OSError,
    NotImplementedError,
    RecursionError,
    RuntimeError,
)

#: Words of zipfile and h5py to ours.
_WORDS = {
    "File is not a zip file": "it is cut off",
    "truncated file": "it is cut off",
    "signature not found": "it is cut off or overwritten",
    "There is no item named 'metadata.json'": f"it has no {_VERSION}",
    "There is no item named 'config.json'": f"it has no {_CONFIG}",
}
#: Hint about a file that is cut off or damaged.
_COPY_HINT = "Copy it again, or save the model again with `model.save(...)`."


def is_foreign_zip(path: Path) -> bool:
    """Whether a zip file has no part of a Keras model, such as one of PyTorch or of NumPy."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except _DAMAGE:
        return False
    return not {_VERSION, _CONFIG, _WEIGHTS} & set(names)


def read_zip(path: Path) -> tuple[int, Any]:
    """Major version of Keras and JSON of a .keras.

    Raises:
        ConversionError: It is damaged or too large when it is unpacked, has other members than
            Keras writes, or holds code or links to other files.
    """
    _refuse_double(path)
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive)
            version = json.loads(archive.read(_VERSION))["keras_version"]
            major = _major(version)
            config = model_json(path, archive.read(_CONFIG))
            weights = archive.read(_WEIGHTS) if _WEIGHTS in archive.namelist() else b""
    except ConversionError:
        raise
    except _DAMAGE as error:
        whole = ".pt2 of torch.export" if path.suffix == ".pt2" else "Keras model"
        raise ConversionError(
            f"{path}: is a zip file, but not a complete {whole}: {_words(error)}", _COPY_HINT
        ) from error
    if weights:
        _check_weights(path, weights)
    refuse_declared_weights(path, config, path.stat().st_size)
    return major, config


def read_hdf5(path: Path) -> tuple[int, Any]:
    """Major version of Keras and JSON of an .h5.

    Raises:
        ConversionError: It is damaged or has weights only, or holds code or links to other files.
    """
    import h5py

    _refuse_double(path)
    try:
        with h5py.File(path) as file:
            check_links(path, file, path.stat().st_size)
            if "model_config" not in file.attrs:
                raise ConversionError(
                    f"{path}: holds weights only, without the model's layers",
                    "Save the whole model with `model.save(...)`",
                )
            major = _major(_text(file.attrs.get("keras_version", "2")))
            config = model_json(path, _text(file.attrs["model_config"]))
            refuse_declared_weights(path, config, path.stat().st_size)
            return major, config
    except ConversionError:
        raise
    except _DAMAGE as error:
        raise ConversionError(
            f"{path}: is a damaged HDF5 file: {_words(error)}", _COPY_HINT
        ) from error


def model_json(path: Path, text: str | bytes) -> Any:
    """A model's JSON with its tuples decoded, without what only a compiled model needs.

    Args:
        path: File, for messages.
        text: The JSON.

    Raises:
        ConversionError: It names code, or is larger than any model's.
        ValueError: It is no JSON.
        RecursionError: It is nested too deeply.
    """
    if len(text) > _MOST_JSON:
        raise ConversionError(
            f"{path}: its JSON has {len(text)} bytes, more than {_MOST_JSON}", GIVE_A_MODEL
        )
    config = decode_tuples(json.loads(text))
    if not isinstance(config, dict):
        raise ValueError("its JSON is no object")
    config = {key: value for key, value in config.items() if key not in _COMPILE_KEYS}
    refuse_code(path, config)
    return config


def _is_zip(path: Path) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # one that says that its other parts are on other disks
        return True


def _refuse_double(path: Path) -> None:
    """Refuse a file that is a zip file and an HDF5 file at once: Keras would read the other."""
    if _is_zip(path) and is_hdf5(path):
        raise ConversionError(
            f"{path}: is a zip file and an HDF5 file at once; kedge cannot know which of the two "
            "models is meant",
            GIVE_A_MODEL,
        )


def _check_members(path: Path, archive: zipfile.ZipFile) -> None:
    most_weights = _MOST_RATIO * path.stat().st_size + _MOST_EXTRA
    most = {_VERSION: _MOST_JSON, _CONFIG: _MOST_JSON, _WEIGHTS: most_weights}
    names = archive.namelist()
    if len(names) > _MOST_MEMBERS:
        raise ConversionError(f"{path}: has {len(names)} members, expected 3", GIVE_A_MODEL)
    for info in archive.infolist():
        name = info.filename
        is_known = name in most or _ASSET.fullmatch(name)
        if not is_known or names.count(name) > 1 or info.flag_bits & _ENCRYPTED:
            raise ConversionError(
                f"{path}: has the member {name[:80]!r}, which is no readable part of a Keras model "
                f"or is there twice; kedge allows {', '.join(most)} and vocabularies",
                "Save the model again with `model.save(...)`, without layers that keep files.",
            )
    sizes = {info.filename: info.file_size for info in archive.infolist()}
    sizes["assets"] = sum(size for name, size in sizes.items() if name not in most)
    for name, size in sizes.items():
        if size > most.get(name, _MOST_JSON):
            raise ConversionError(
                f"{path}: its member {name} has {size} bytes when it is unpacked, more than "
                f"{most.get(name, _MOST_JSON)}",
                "Save the model again with `model.save(...)`.",
            )


def _check_weights(path: Path, weights: bytes) -> None:
    import h5py

    try:
        with h5py.File(io.BytesIO(weights)) as file:
            check_links(path, file, len(weights))
    except ConversionError:
        raise
    except _DAMAGE as error:
        raise ConversionError(
            f"{path}: its weights are a damaged HDF5 file: {_words(error)}", _COPY_HINT
        ) from error


def _major(version: Any) -> int:
    return int(str(version).split(".")[0])


def _text(raw: Any) -> str:
    if isinstance(raw, bytes):
        return raw.decode()
    if not isinstance(raw, str):
        raise ValueError("its attributes are no texts")
    return raw


def _words(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    text = str(error)
    return next((words for sign, words in _WORDS.items() if sign in text), text)
