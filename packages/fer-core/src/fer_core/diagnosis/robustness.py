"""How accuracy falls when faces get worse."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

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
from fer_core.diagnosis.pictures import FAINT, INK, MARKERS, save_figure
from fer_core.evaluation.classes import match_classes
from fer_core.evaluation.evaluate import evaluate_network
from fer_core.reports.drawing import SERIES
from fer_core.runs.diagnosis import RobustnessFigures

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from fer_core.diagnosis.faces import Faces
    from fer_core.inference.network import Network

CLEAN = "clean"
"""Name of the row of faces as they are, strength 0."""
METRICS = ("accuracy", "mean_class_accuracy")
PARAMETERS = {
    "blur": (BLUR, "sigma of {:.1%} of the side"),
    "noise": (NOISE, "sigma of {:.0%} of the pixels' range"),
    "occlusion": (OCCLUSION, "a square of {:.0%} of the side"),
    "brightness": (BRIGHTNESS, "{:.0%} of the way to black or white"),
    "low_resolution": (RESOLUTION, "{} pixels a side"),
}
"""How the strengths of a corruption are told."""


def measure_robustness(
    network: Network, faces: Faces, rows: NDArray[np.int64], *, batch_size: int, seed: int = 0
) -> pd.DataFrame:
    """Evaluate faces as they are, and with every corruption at every strength.

    Args:
        network: What is diagnosed.
        faces: Of the dataset, as its predictions have them.
        rows: Which of them, as rows of the dataset's table.
        batch_size: Faces at once.
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
    folder.table("robustness", found, "Accuracy on corrupted faces; strength 0 is the faces as they are")
    means = found[found["corruption"] != CLEAN].groupby("corruption", sort=False)["accuracy"].mean()
    figures = RobustnessFigures(
        faces=len(rows),
        clean=float(found["accuracy"].iloc[0]),
        mean={str(name): float(value) for name, value in means.items()},
    )
    notes = [f"Of {len(rows):,} of {len(faces.table):,} faces. " + _parameters()]
    path = folder.picture("robustness", "Robustness", _describe(found))
    _draw(path, found, f"Robustness: {faces.dataset.name}, {len(rows):,} faces")
    folder.add("robustness", figures, notes)


def _parameters() -> str:
    """What the strengths 1 and 5 of every corruption are, in words."""
    ends = (
        f"{_spoken(name)} {words.format(values[0])} to {words.format(values[-1])}"
        for name, (values, words) in PARAMETERS.items()
    )
    return "Strengths 1 to 5, relative to the face's side: " + "; ".join(ends) + "."


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _describe(found: pd.DataFrame) -> str:
    clean = found["accuracy"].iloc[0]
    of = {name: found.loc[found["corruption"] == name, "accuracy"] for name in CORRUPTIONS}
    lines = [f"{_spoken(name)} {', '.join(f'{value:.1%}' for value in values)}" for name, values in of.items()]
    return (
        f"Lines of accuracy over the strength of five corruptions, from {clean:.1%} on the faces as they are. "
        f"Strengths 1 to 5: {'; '.join(lines)}."
    )


def _draw(path: Path, found: pd.DataFrame, title: str) -> None:
    def draw(figure: Figure) -> None:
        figure.set_size_inches(7.6, 4.2)
        axes = figure.add_subplot()
        clean = 100 * float(found["accuracy"].iloc[0])
        ends: list[tuple[float, str, str]] = []
        for number, name in enumerate(CORRUPTIONS):
            values = 100 * found.loc[found["corruption"] == name, "accuracy"].to_numpy()
            style: dict[str, Any] = {"color": SERIES[number], "marker": MARKERS[number], "markersize": 5}
            axes.plot([0, *STRENGTHS], [clean, *values], linewidth=1.6, clip_on=False, **style)
            ends.append((float(values[-1]), _spoken(name), SERIES[number]))
        axes.plot([0], [clean], marker="o", markersize=6, color=INK, clip_on=False)
        top = max(5.0, 100 * float(found["accuracy"].max()))
        _name_lines(axes, ends, top)
        axes.set_xlim(-0.1, 5)
        axes.set_ylim(0, min(1.05 * top, 100))
        axes.set_xticks([0, *STRENGTHS], ["clean", *map(str, STRENGTHS)])
        axes.set_xlabel("strength")
        axes.set_ylabel("accuracy (%)")
        axes.grid(axis="y", color="#E6E6E6", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(title, fontsize=12, fontweight="bold", color=INK, loc="left")

    save_figure(path, draw)


def _name_lines(axes: Any, ends: list[tuple[float, str, str]], top: float) -> None:
    """Names at the right ends of lines, moved apart where they would overlap."""
    gap = 0.055 * top
    place = -gap
    # From the middle of its left side, so that the line to a name does not cross it.
    line = {"arrowstyle": "-", "color": FAINT, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 4, "relpos": (0, 0.5)}
    for value, name, colour in sorted(ends):
        place = max(value, place + gap)
        style: dict[str, Any] = {"color": colour, "fontsize": 9, "va": "center", "annotation_clip": False}
        axes.annotate(name, (5, value), (5.22, place), arrowprops=line, **style)
