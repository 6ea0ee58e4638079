"""The packs in the cache: listing and deleting them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from fer_core.data.packs.files import BUILDING, MANIFEST, Building, Manifest
from fer_core.data.packs.open import find_pack
from fer_core.errors import FerError, nearest
from fer_core.plugins import normalize

State = Literal["complete", "unfinished", "damaged"]
UNKNOWN = "?"
"""Placeholder for the dataset of a pack that does not record it."""


@dataclass(frozen=True)
class StoredPack:
    """A pack on the disk.

    Attributes:
        name: Of its folder.
        dataset: Name of the dataset.
        images: Number of images; for an unfinished pack, the intended number.
        bytes: Space that it takes.
        state: An unfinished pack is continued when it is next needed, a damaged one is built again.
        folder: Where it is.
    """

    name: str
    dataset: str
    images: int
    bytes: int
    state: State
    folder: Path


def list_packs(cache: Path) -> list[StoredPack]:
    """Packs below `cache`, by dataset. Raises FerError where the folder cannot be read."""
    folder = cache / "packs"
    try:
        found = [_describe(path) for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    except OSError as error:
        raise FerError(f"cannot read {folder}: {error}; set FER_CACHE to another folder") from error
    return sorted(found, key=lambda pack: (pack.dataset, pack.name))


def choose_packs(packs: Sequence[StoredPack], names: Sequence[str]) -> list[StoredPack]:
    """The packs in `names`, by dataset or by pack. Raises FerError on a name that matches none."""
    chosen = []
    for name in names:
        fitting = [pack for pack in packs if normalize(name) == normalize(pack.dataset) or name == pack.name]
        if not fitting:
            known = sorted({pack.dataset for pack in packs})
            raise FerError(
                f"there is no pack of {name}: {nearest(name, known) if known else 'the cache is empty'}"
            )
        chosen += [pack for pack in fitting if pack not in chosen]
    return chosen


def remove_pack(pack: StoredPack) -> None:
    """Delete a pack.

    Raises:
        FerError: It is being written, or cannot be deleted.
    """
    lock = pack.folder.parents[1] / "locks" / f"{pack.name}.lock"
    try:
        lock.parent.mkdir(exist_ok=True)
        with FileLock(lock, timeout=0):
            # First, so that a partly deleted folder is not taken for a pack.
            (pack.folder / MANIFEST).unlink(missing_ok=True)
            shutil.rmtree(pack.folder)
        lock.unlink(missing_ok=True)
    except Timeout as error:
        raise FerError(f"the pack {pack.name} of {pack.dataset} is being written: stop that run first") from error
    except OSError as error:
        raise FerError(
            f"cannot delete {pack.folder}: {error}; end the runs that use it, or delete it by hand"
        ) from error


def _describe(folder: Path) -> StoredPack:
    state: State = "unfinished" if folder.name.startswith(".") else "complete" if find_pack(folder) else "damaged"
    record, name = (Building, BUILDING) if state == "unfinished" else (Manifest, MANIFEST)
    try:
        told = record.read(folder / name, "")
        dataset, images = told.dataset, told.images
    except FerError:
        dataset, images = UNKNOWN, 0
    size = sum(path.lstat().st_size for path in folder.iterdir())
    return StoredPack(folder.name.removeprefix("."), dataset, images, size, state, folder)
