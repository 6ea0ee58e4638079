"""Accuracy behind a detector: test faces are put into scenes, found again, cut and classified.

What weights score on the crops of a dataset is not what they score in use, where a detector misses faces and cuts
the others a little differently.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fer_core.evaluation.evaluate import Evaluation, evaluate_network
from fer_core.evaluation.scenes import Scenes, ThroughDetector
from fer_core.inference.answer import cut_of
from fer_core.metrics import compute_metrics

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fer_core.evaluation.classes import Match
    from fer_core.faces import Detector
    from fer_core.inference.network import Network
    from fer_core.types import FERDataset, Pack


def evaluate_through(
    network: Network,
    dataset: FERDataset,
    pack: Pack,
    rows: NDArray[np.int64],
    match: Match,
    crops: Evaluation,
    detector: Detector,
    name: str,
    *,
    batch_size: int,
) -> ThroughDetector:
    """Put faces into scenes, find them, cut them as the network learnt faces, and classify them.

    Args:
        network: The network.
        dataset: Whose faces they are.
        pack: Its images.
        rows: Rows of its table, each of a class that is measured.
        match: How its classes are those of the network.
        crops: What the network says of these rows without a detector.
        detector: Finds faces.
        name: What to call it.
        batch_size: Of the network.

    Raises:
        FerError: The detector gives no points though the network needs them.
    """
    scenes = Scenes(pack, cut_of(network.header.preprocessing))
    found = scenes.look(rows, detector)
    if not len(found):
        return ThroughDetector(name, len(rows), 0, None, None)
    behind = evaluate_network(network, dataset, scenes, found, match, batch_size=batch_size, workers=0)
    again = np.isin(np.sort(rows), found)
    given = compute_metrics(crops.labels[again], crops.probabilities[again], crops.classes)
    return ThroughDetector(name, len(rows), len(found), behind.metrics, given)
