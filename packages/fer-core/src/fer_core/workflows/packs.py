"""Packs of datasets in the cache."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fer_core.cache import cache_root
from fer_core.data.open import open_dataset
from fer_core.data.packs.cache import choose_packs, list_packs, remove_pack
from fer_core.data.packs.open import DirectReader, MappedPack, gigabytes, open_pack

if TYPE_CHECKING:
    from fer_core.components import Options

__all__ = ["cache_root", "choose_packs", "gigabytes", "list_packs", "pack_dataset", "remove_pack"]


def pack_dataset(dataset: str, root: Path | None, options: Options) -> dict[str, MappedPack | None]:
    """Decode every image of a dataset once, as the first run would do.

    Returns:
        The pack of each part; None where none could be made, which is logged with its reason. A part that is
        generated needs no pack and is left out.

    Raises:
        FerError: The dataset cannot be opened.
    """
    _, opened = open_dataset(dataset, root, options)
    found = {part.name: open_pack(part, cache_root(), progress=True) for part in opened.parts}
    return {
        name: pack if isinstance(pack, MappedPack) else None
        for name, pack in found.items()
        if isinstance(pack, MappedPack | DirectReader)
    }
