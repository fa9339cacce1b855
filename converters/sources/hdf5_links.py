"""Places of an HDF5 file that lead out of it, and its size once it is unpacked.

HDF5 may keep the numbers of a dataset in any other file of the computer, or name another HDF5
file. What is read there would become weights, and travel with the model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from converters.errors import ConversionError

#: Numbers of the filters that HDF5 and h5py bring (deflate, shuffle, fletcher32, szip, nbit,
#: scaleoffset, lzf); others are libraries that HDF5 loads.
_FILTERS = frozenset({1, 2, 3, 4, 5, 6, 32000})
#: Bytes that an array may have for each byte of the file, and beside them.
_MOST_RATIO, _MOST_EXTRA = 20, 2**24
#: Signature of HDF5, and the first place where it may stand; each further one is twice as far.
_SIGNATURE, _FIRST_PLACE = b"\x89HDF\r\n\x1a\n", 512

_HINT = "Save the whole model in a single file with `model.save(...)` and convert that."


def check_links(path: Path, file: Any, size_bytes: int) -> None:
    """Refuse an HDF5 file with parts that are elsewhere, or much larger than the file.

    Args:
        path: The file, or the one that it is in, for messages.
        file: An open `h5py.File`.
        size_bytes: Size of the file.

    Raises:
        ConversionError: A link leads to another file or to a name, a dataset is kept in other
            files or needs a library, or the arrays do not fit the size of the file.
    """
    import h5py

    total = 0
    waiting, addresses = [file], set()
    while waiting:
        group = waiting.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in addresses:
            continue
        addresses.add(address)
        for name in group:
            kind = type(group.get(name, getlink=True))
            where = f"{group.name.rstrip('/')}/{name}"
            if kind is not h5py.HardLink:
                raise _refused(path, where, "is a link to another place")
            item = group[name]
            if isinstance(item, h5py.Group):
                waiting.append(item)
            elif isinstance(item, h5py.Dataset):
                _check_dataset(path, where, item)
                total += item.nbytes
    if total > _MOST_RATIO * size_bytes + _MOST_EXTRA:
        raise ConversionError(
            f"{path}: its arrays have {total} bytes, far more than the file of {size_bytes} bytes "
            "can hold",
            _HINT,
        )


def is_hdf5(path: Path) -> bool:
    """Whether HDF5 takes a file as its own, also behind a block of other data."""
    with path.open("rb") as file:
        size = path.stat().st_size
        place = 0
        while place < size:
            file.seek(place)
            if file.read(len(_SIGNATURE)) == _SIGNATURE:
                return True
            place = 2 * place or _FIRST_PLACE
    return False


def _check_dataset(path: Path, where: str, dataset: Any) -> None:
    if dataset.external or dataset.is_virtual:
        raise _refused(path, where, "is kept in another file")
    properties = dataset.id.get_create_plist()
    numbers = {properties.get_filter(place)[0] for place in range(properties.get_nfilters())}
    if not numbers <= _FILTERS:
        raise _refused(path, where, "is stored by a filter that is a library of its own")


def _refused(path: Path, where: str, reason: str) -> ConversionError:
    return ConversionError(
        f"{path}: {where} {reason}; kedge allows arrays inside the file only", _HINT
    )
