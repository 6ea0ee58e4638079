"""Packs of datasets that are made of others: no image is stored twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fer_core.types import Pack

if TYPE_CHECKING:
    from fer_core.types import Image


class SelectedPack(Pack):
    """Some rows of a pack.

    Args:
        pack: The whole one.
        rows: Its row for each row of this one.
    """

    def __init__(self, pack: Pack, rows: NDArray[np.int64]) -> None:
        self._pack, self._rows = pack, rows

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Height and width of every image in pixels, [N, 2]."""
        return self._pack.sizes[self._rows]

    @property
    def uniform(self) -> bool:
        """Whether the whole pack is."""
        return self._pack.uniform

    def images(self, rows: NDArray[np.int64]) -> Image | list[Image]:
        """Pixels of `rows`."""
        return self._pack.images(self._rows[rows])


class JoinedPack(Pack):
    """Packs one behind another. Its images are given one by one, since those of two packs rarely are alike.

    Args:
        packs: In the order of their rows.
    """

    def __init__(self, packs: Sequence[Pack]) -> None:
        self._packs = tuple(packs)
        self._ends = np.cumsum([len(pack) for pack in packs])

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Height and width of every image in pixels, [N, 2]."""
        return np.concatenate([pack.sizes for pack in self._packs])

    @property
    def uniform(self) -> bool:
        """False."""
        return False

    def images(self, rows: NDArray[np.int64]) -> list[Image]:
        """Pixels of `rows`, in their order."""
        found: dict[int, Image] = {}
        part = self._ends.searchsorted(rows, side="right")
        for number, pack in enumerate(self._packs):
            places = np.flatnonzero(part == number)
            if len(places):
                first = self._ends[number] - len(pack)
                found.update(zip(places.tolist(), pack.images(rows[places] - first), strict=True))
        return [found[place] for place in range(len(rows))]
