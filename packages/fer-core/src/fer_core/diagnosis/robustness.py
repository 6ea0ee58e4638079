"""Robustness: how accuracy falls on corrupted faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fer_core.data.progress import show_progress
from fer_core.diagnosis.corruptions import (
    BLUR,
    BRIGHTNESS,
    CORRUPTIONS,
    NOISE,
    OCCLUSION,
    RESOLUTION,
    STRENGTHS,
    CorruptedPack,
)
from fer_core.diagnosis.folder import Folder
from fer_core.evaluation.classes import match_classes
from fer_core.evaluation.evaluate import evaluate_network
from fer_core.plotting.robustness import draw_robustness
from fer_core.runs.diagnosis import RobustnessFigures

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from fer_core.diagnosis.faces import Faces
    from fer_core.inference.network import Network

CLEAN = "clean"
"""Name of the row of uncorrupted faces, severity 0."""
METRICS = ("accuracy", "mean_class_accuracy")
PARAMETERS = {
    "blur": (BLUR, "sigma of {:.1%} of the side"),
    "noise": (NOISE, "sigma of {:.0%} of the pixels' range"),
    "occlusion": (OCCLUSION, "a square of {:.0%} of the side"),
    "brightness": (BRIGHTNESS, "{:.0%} of the way to black or white"),
    "low_resolution": (RESOLUTION, "{} pixels a side"),
}
"""Labels for the severities of a corruption."""


def measure_robustness(
    network: Network, faces: Faces, rows: NDArray[np.int64], *, batch_size: int, seed: int = 0
) -> pd.DataFrame:
    """Evaluate uncorrupted faces, and every corruption at every severity.

    Args:
        network: What is diagnosed.
        faces: Of the dataset, as its predictions have them.
        rows: Which of them, as rows of the dataset's table.
        batch_size: Batch size.
        seed: Of what is random in a corruption.

    Returns:
        `corruption`, `strength` (0: the faces as they are), `accuracy`, `mean_class_accuracy`; 26 rows.
    """
    import pandas as pd

    match = match_classes(faces.dataset, network.classes, network.checkpoint)
    steps = [(CLEAN, 0)] + [(name, strength) for name in CORRUPTIONS for strength in STRENGTHS]
    lines = []
    with show_progress("corrupted faces", len(steps)) as advance:
        for done, (name, strength) in enumerate(steps):
            pack = CorruptedPack(faces.pack, name, strength, seed) if strength else faces.pack
            found = evaluate_network(network, faces.dataset, pack, rows, match, batch_size=batch_size)
            lines.append([name, strength, *(found.metrics.value(metric) for metric in METRICS)])
            advance(done + 1)
    return pd.DataFrame(lines, columns=["corruption", "strength", *METRICS])


def diagnose_robustness(
    network: Network, faces: Faces, places: NDArray[np.int64], folder: Folder, *, batch_size: int
) -> None:
    """`robustness.csv` and a line for each corruption; `places` are lines of the predictions."""
    rows = faces.rows(faces.table["id"].iloc[places])
    found = measure_robustness(network, faces, rows, batch_size=batch_size)
    folder.table("robustness", found, "Accuracy on corrupted faces; severity 0 is the original faces")
    means = found[found["corruption"] != CLEAN].groupby("corruption", sort=False)["accuracy"].mean()
    figures = RobustnessFigures(
        faces=len(rows),
        clean=float(found["accuracy"].iloc[0]),
        mean={str(name): float(value) for name, value in means.items()},
    )
    notes = [f"Of {len(rows):,} of {len(faces.table):,} faces. " + _parameters()]
    lines = {
        _spoken(str(name)): of_one["accuracy"].tolist()
        for name, of_one in found[found["corruption"] != CLEAN].groupby("corruption", sort=False)
    }
    chart = draw_robustness(figures.clean, lines, f"Robustness: {faces.dataset.name}, {len(rows):,} faces")
    chart.save(folder.picture("robustness", "Robustness", chart.description))
    folder.add("robustness", figures, notes)


def _parameters() -> str:
    """Severities 1 and 5 of every corruption, in words."""
    ends = (
        f"{_spoken(name)} {words.format(values[0])} to {words.format(values[-1])}"
        for name, (values, words) in PARAMETERS.items()
    )
    return "Severities 1 to 5, relative to the face's side: " + "; ".join(ends) + "."


def _spoken(name: str) -> str:
    return name.replace("_", " ")
