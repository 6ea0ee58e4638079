"""Torch's two file formats: the zip archive, and the older sequence of pickles with the numbers behind them."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from fer_core.weights.upstream.rebuild import storage_dtype
from fer_core.weights.upstream.unpickle import Bounded, unpickle
from fer_core.weights.upstream.values import Storage

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
"""The number that begins a file in the older format."""
LEGACY_PROTOCOL = 1001
MAX_EXPANSION = 8
"""Largest ratio of content to file size; torch does not compress, and weights hardly compress."""

Open = Callable[[str, int], Callable[[], bytearray]]


class _Storages:
    """The storages of a file by key; `claim` is called for every reference in the pickle."""

    def __init__(self, reader: Open) -> None:
        self.reader = reader
        self.found: dict[str, Storage] = {}

    def claim(self, identity: Any) -> Any:
        if isinstance(identity, tuple) and len(identity) == 4 and identity[0] == "module":
            return identity[1]  # the older format puts a class beside its source text
        if not isinstance(identity, tuple) or len(identity) < 5 or identity[0] != "storage":
            raise ValueError("it refers to an object outside the file")
        kind, key, _, numel, *view = identity[1:]
        dtype = storage_dtype(kind)
        if type(numel) is not int or numel < 0 or not isinstance(key, str | int) or any(view):
            raise ValueError("a storage of a kind that is not supported")
        name, nbytes = str(key), numel * dtype.itemsize
        storage = self.found.get(name)
        if storage is None:
            storage = self.found[name] = Storage(dtype, nbytes, self.reader(name, nbytes))
        elif (storage.dtype, storage.nbytes) != (dtype, nbytes):
            raise ValueError(f"storage {name} is claimed in two sizes")
        return storage


def read_zip(path: Path) -> Any:
    """The pickled object of a torch archive. Its tensors are claims that read from `path`.

    Raises:
        ValueError, zipfile.BadZipFile: Not torch's archive, truncated, or it would expand too much.
    """
    with zipfile.ZipFile(path) as archive:
        entries = {info.filename: info for info in archive.infolist()}
        _check_sizes(entries, path.stat().st_size)
        roots = [name.removesuffix("data.pkl") for name in entries if name.rpartition("/")[2] == "data.pkl"]
        if len(roots) != 1:
            raise ValueError("it is a zip archive, but not one that torch wrote")
        root = roots[0]
        if f"{root}constants.pkl" in entries:
            raise ValueError("it is a TorchScript program: save the state dict of its model instead")
        if f"{root}byteorder" in entries and archive.read(f"{root}byteorder") != b"little":
            raise ValueError("its numbers are big-endian: save it again on another machine")

        def open_storage(key: str, nbytes: int) -> Callable[[], bytearray]:
            info = entries.get(f"{root}data/{key}")
            if info is None or info.file_size < nbytes:
                raise ValueError(f"storage {key} claims {nbytes:,} bytes, more than the file has of it")
            return lambda: _read_entry(path, info.filename, nbytes)

        with archive.open(f"{root}data.pkl") as file:
            pickled = Bounded(file, entries[f"{root}data.pkl"].file_size)  # type: ignore[arg-type]
            return unpickle(pickled, _Storages(open_storage).claim)


def _check_sizes(entries: dict[str, zipfile.ZipInfo], size: int) -> None:
    if sum(info.compress_size for info in entries.values()) > size:
        raise ValueError("its entries claim more bytes than the file has")
    if sum(info.file_size for info in entries.values()) > MAX_EXPANSION * size:
        raise ValueError(f"it would expand to over {MAX_EXPANSION} times its size, which weights never do")


def _read_entry(path: Path, name: str, nbytes: int) -> bytearray:
    content = bytearray(nbytes)
    view, filled = memoryview(content), 0
    with zipfile.ZipFile(path) as archive, archive.open(name) as file:
        while filled < nbytes:
            count = file.readinto(view[filled:])  # type: ignore[attr-defined]
            if not count:
                raise EOFError("it ends too early")
            filled += count
    return content


def read_pickle(path: Path) -> Any:
    """The object of a pickle, or of a file in torch's older format (recognised by its first number).

    Raises:
        ValueError, EOFError, TypeError, LookupError: The file is damaged, or holds something else.
    """
    size = path.stat().st_size
    with path.open("rb") as handle:
        file = Bounded(handle, size)
        first = unpickle(file)
        if first != LEGACY_MAGIC:
            return first
        if unpickle(file) != LEGACY_PROTOCOL or not _little_endian(unpickle(file)):
            raise ValueError("it is in a version of torch's format that is not supported")
        places: dict[str, int] = {}

        def open_storage(key: str, nbytes: int) -> Callable[[], bytearray]:
            return lambda: _read_at(path, places[key], nbytes)

        storages = _Storages(open_storage)
        content = unpickle(file, storages.claim)
        _locate(handle, [str(key) for key in unpickle(file)], storages.found, places, size)
        return content


def _little_endian(system: Any) -> bool:
    return isinstance(system, dict) and system.get("little_endian") is True


def _locate(
    handle: BinaryIO, keys: list[str], found: dict[str, Storage], places: dict[str, int], size: int
) -> None:
    """Note where the numbers of each storage lie: each follows its count of 8 bytes, in the order of `keys`."""
    at = handle.tell()
    for key in keys:
        storage = found[key]
        handle.seek(at)
        count = int.from_bytes(handle.read(8), "little")
        places[key] = at + 8
        at += 8 + storage.nbytes
        if count * storage.dtype.itemsize != storage.nbytes:
            raise ValueError(f"storage {key} claims {storage.nbytes:,} bytes, but the file has another count")
        if at > size:
            raise EOFError("it ends too early")
    if missing := found.keys() - places.keys():
        raise ValueError(f"{len(missing)} storages are not in it")


def _read_at(path: Path, at: int, nbytes: int) -> bytearray:
    content = bytearray(nbytes)
    with path.open("rb") as handle:
        handle.seek(at)
        if handle.readinto(content) != nbytes:
            raise EOFError("it ends too early")
    return content
