"""A chart: a matplotlib figure with a title and a description, as SVG inside a page or as a file."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fer_core.files import write_atomically, write_text
from fer_core.plotting.palette import GRID, INK, MUTED, SURFACE, theme
from fer_core.plotting.svg import compact_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 400.0
"""Width in pixels of a chart that can be read on a telephone without scrolling."""
PIXELS = 72
"""Per inch, so that a font size of 10 is 10 pixels high."""
HEAD = 24
"""Height of the title in pixels; only files have one, a page shows it as text."""
STYLE = {
    "svg.hashsalt": "fer",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 10.5,
    "axes.labelsize": 10.5,
    "axes.titlesize": 10.5,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": GRID,
}


@dataclass(frozen=True)
class Chart:
    """A figure that is drawn when it is written. Equal charts give equal bytes.

    Attributes:
        title: What it shows; the heading of a file, the accessible name in a page.
        description: The same in figures, for readers who cannot see it.
        size: Width and height in pixels.
        paint: Draws on an empty figure.
        fit: Whether axes and their labels are fitted into the figure; otherwise `paint` places all.
    """

    title: str
    description: str
    size: tuple[float, float]
    paint: Callable[[Figure], None]
    fit: bool = True

    def svg(self, name: str) -> str:
        """As an element of an HTML page, in the colours of the page (`palette.theme`).

        Args:
            name: Unique in the page.
        """
        return compact_svg(self._write("svg", titled=False), name, self.title, self.description)

    def save(self, path: Path) -> None:
        """Write a `.svg` file, which follows the reader's light or dark, or a light `.png` of twice the size.

        Raises:
            FerError: The file cannot be written; an earlier one is untouched.
        """
        if path.suffix == ".svg":
            drawn = self._write("svg", titled=True)
            write_text(path, compact_svg(drawn, "chart", self.title, self.description, style=theme("svg")) + "\n")
            return
        drawn = self._write("png", titled=True)
        write_atomically(path, lambda partial: _write_bytes(partial, drawn))

    def _write(self, kind: str, *, titled: bool) -> bytes:
        from matplotlib.figure import Figure

        width, height = self.size
        content = io.BytesIO()
        with house_style():
            figure = Figure(
                figsize=(width / PIXELS, (height + HEAD * titled) / PIXELS),
                dpi=PIXELS if kind == "svg" else 2 * PIXELS,
                layout="constrained" if self.fit else None,
                facecolor=SURFACE,
            )
            if titled:
                figure.suptitle(self.title, fontsize=12, fontweight="bold", x=0.01, ha="left")
            self.paint(figure)
            if kind == "svg":
                nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
                figure.savefig(content, format="svg", metadata=nothing, transparent=True)
            else:
                figure.savefig(content, format="png", metadata={"Software": None})
        return content.getvalue()


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def house_style() -> AbstractContextManager[object]:
    """Matplotlib's defaults and `STYLE`, whatever the user's own settings are."""
    from matplotlib import rc_context, style

    stack = ExitStack()
    stack.enter_context(style.context("default"))
    stack.enter_context(rc_context(STYLE))  # type: ignore[arg-type]  # the keys are literals
    return stack


def shorten(text: str, length: int) -> str:
    """`text` in at most `length` characters."""
    return text if len(text) <= length else text[: length - 1] + "…"
