"""Sampling faces if processing all of them would take too long."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fer_core.data.random import SampleRandom, derive_seed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

MOST = 2000
"""Faces of the parts that run the network often, or compare every pair of faces."""


def sample_faces(labels: pd.Series | Sequence[str], most: int = MOST, seed: int = 0) -> NDArray[np.int64]:
    """At most `most` of N faces, each class by its share in them.

    Within a class the order is drawn; faces are then taken by how far down their class they stand.

    Args:
        labels: Class of every face, [N].
        most: How many.
        seed: Equal seeds give equal choices.

    Returns:
        Places in `labels`, ascending; all where there are no more than `most`.
    """
    names = np.asarray(labels)
    if len(names) <= most:
        return np.arange(len(names))
    drawn = SampleRandom(derive_seed(seed, most), 0, np.arange(len(names))).uniform()[:, 0].numpy()
    depth = np.empty(len(names))
    for name in np.unique(names):
        own = np.flatnonzero(names == name)
        depth[own[np.argsort(drawn[own], kind="stable")]] = (np.arange(len(own)) + 0.5) / len(own)
    return np.sort(np.lexsort((drawn, depth))[:most])
