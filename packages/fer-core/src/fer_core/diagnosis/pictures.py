"""How pictures of a diagnosis are drawn and saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, FAINT = "#1c2733", "#8a94a0"
MARKERS = ("o", "s", "^", "D", "v", "P", "<", "*", "p")
"""One for each colour of a series, so that no picture is read by colour alone."""


def save_figure(path: Path, draw: Callable[[Figure], None]) -> None:
    """Draw on a figure outside pyplot's state and write it as a PNG whose bytes depend on the drawing alone."""
    from matplotlib import style
    from matplotlib.figure import Figure

    # The user's own defaults would change the picture.
    with style.context("default"):
        figure = Figure(layout="constrained", dpi=150)
        draw(figure)
        figure.savefig(path, format="png", bbox_inches="tight", metadata={"Software": None})
