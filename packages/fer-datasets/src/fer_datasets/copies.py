"""Duplicate and constant images, which are removed only on request."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat

import numpy as np
from fer_core.plugin import FerError, Role

from fer_datasets.image_files import ImageFiles
from fer_datasets.pixel_rows import PixelRows

ORDER: tuple[Role, ...] = ("test", "val", "train")
"""Priority of the copies: the one in an evaluation split is kept, so that training never sees it."""


def leave_out(
    dataset: ImageFiles | PixelRows, roles: Mapping[str, Role], *, dedup: bool, drop_constant: bool
) -> None:
    """Drop duplicates and constant images from a dataset, and state it in its `layout`; this reads every image.

    Args:
        dataset: Changed in place.
        roles: Roles of its splits; a sample without a split counts as training.
        dedup: Keep one of several identical images: that of the test split, otherwise of the validation split,
            otherwise the first.
        drop_constant: Drop constant images, such as the black ones of FER2013.

    Raises:
        FerError: An image cannot be read.
    """
    if not (dedup or drop_constant):
        return
    splits = dataset.table["split"].tolist()
    with ThreadPoolExecutor(min(8, (os.cpu_count() or 1) + 1)) as threads:
        found = list(threads.map(_examine, repeat(dataset), range(len(splits))))
    order = sorted(range(len(splits)), key=lambda row: ORDER.index(roles.get(splits[row], "train")))
    seen: set[bytes] = set()
    kept, constant, copies = [], 0, 0
    for row in order:
        digest, flat = found[row]
        if flat and drop_constant:
            constant += 1
        elif dedup and digest in seen:
            copies += 1
        else:
            seen.add(digest)
            kept.append(row)
    if not kept:
        raise FerError(f"{dataset.name}: every image is constant: the files are damaged, restore them")
    dataset.keep(np.sort(np.array(kept, dtype=np.int64)))
    dataset.expected_counts = {}  # published counts include all images
    parts = [f"{constant} constant images"] * drop_constant + [f"{copies} copies"] * dedup
    dataset.layout += f"; left out: {' and '.join(parts)}"


def _examine(dataset: ImageFiles | PixelRows, row: int) -> tuple[bytes, bool]:
    """Digest of the pixels and size of an image, and whether it is constant."""
    image = dataset.read(row)
    digest = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16, key=str(image.shape).encode())
    return digest.digest(), bool((image == image[0, 0]).all())
