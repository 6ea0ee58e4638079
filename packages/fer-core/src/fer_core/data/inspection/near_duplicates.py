"""Near-duplicate images: copies that were scaled, compressed or brightened again."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

SIDE = 16
"""The hash has SIDE x SIDE bits; smaller ones confuse the faces of aligned sets."""
LIMIT = 12
"""Bits that may differ."""
BANDS = LIMIT + 1
"""With one band more than bits that may differ, two hashes agree in at least one whole band."""
ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1)
"""Bits set in each byte."""


def perceptual_hash(image: NDArray[np.uint8]) -> bytes:
    """Difference hash of an image: whether each cell of a 16 x 17 reduction is brighter than its left neighbour.

    Source: N. Krawetz, "Kind of Like That", hackerfactor.com, 2013 (there 8 x 9).

    Args:
        image: uint8 [H, W, 1 or 3].

    Returns:
        256 bits.
    """
    from PIL import Image

    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).convert("L")
    cells = np.asarray(picture.resize((SIDE + 1, SIDE), Image.Resampling.BOX), dtype=np.int16)
    return np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes()


def group_near(hashes: Mapping[int, bytes]) -> list[list[int]]:
    """Groups of keys, of two or more each, chained by hashes that differ in at most `LIMIT` bits."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    keys = np.array(list(hashes), dtype=np.int64)
    if len(keys) < 2:
        return []
    bits = np.frombuffer(b"".join(hashes.values()), dtype=np.uint8).reshape(len(keys), -1)
    first, second = _near_pairs(bits)
    graph = coo_array((np.ones(len(first), dtype=bool), (first, second)), shape=(len(keys), len(keys)))
    _, part = connected_components(graph, directed=False)
    order = np.argsort(part, kind="stable")
    groups = np.split(keys[order], np.flatnonzero(np.diff(part[order])) + 1)
    return sorted(group.tolist() for group in groups if len(group) > 1)


def _near_pairs(bits: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of rows of uint8 [N, bytes] that differ in at most `LIMIT` bits."""
    single = np.unpackbits(bits, axis=1)
    found: list[NDArray[np.int64]] = []
    for columns in np.array_split(np.arange(single.shape[1]), BANDS):
        weights = 1 << np.arange(len(columns), dtype=np.int64)
        band = single[:, columns] @ weights
        order = np.argsort(band, kind="stable")
        # Rows with an equal band stand side by side: compare each with the next, the one after, and so on.
        places, ranked = np.arange(len(order)), band[order]
        for distance in range(1, len(order)):
            places = places[places < len(order) - distance]
            places = places[ranked[places] == ranked[places + distance]]
            if not len(places):
                break
            a, b = order[places], order[places + distance]
            close = ONES[bits[a] ^ bits[b]].sum(axis=1) <= LIMIT
            found.append(np.stack([a[close], b[close]]))
    pairs = np.concatenate(found, axis=1) if found else np.zeros((2, 0), dtype=np.int64)
    return pairs[0], pairs[1]
