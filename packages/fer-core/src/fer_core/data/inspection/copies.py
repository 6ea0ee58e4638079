"""Images with the same pixels."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from fer_core.data.progress import show_progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fer_core.types import Image, Pack

AT_ONCE = 256
"""Images that are read together."""


def pixel_digest(image: Image) -> bytes:
    """Equal for images of the same size with the same pixels."""
    shape = ",".join(map(str, image.shape))
    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16, key=shape.encode()).digest()


def have_copies(
    pack: Pack, rows: NDArray[np.int64], others: Pack, other_rows: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which images of `rows` have the same pixels as another image among `other_rows`, [rows].

    Args:
        pack: The images.
        rows: Rows of `pack`.
        others: The images to compare with; where it is `pack` itself, a row is not its own copy.
        other_rows: Rows of `others`.
    """
    held = Counter(_digests(others, other_rows))
    own = set(other_rows.tolist()) if others is pack else set()
    digests = zip(rows.tolist(), _digests(pack, rows), strict=True)
    return np.array([held[digest] > (row in own) for row, digest in digests], dtype=bool)


def _digests(pack: Pack, rows: NDArray[np.int64]) -> Iterator[bytes]:
    with show_progress("comparing pixels", len(rows)) as advance:
        for start in range(0, len(rows), AT_ONCE):
            yield from map(pixel_digest, pack.images(rows[start : start + AT_ONCE]))
            advance(start + AT_ONCE)
