"""A picture as a list of shapes, written as SVG that follows the page's light or dark, or as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Literal

SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8C6D00", "#56B4E9", "#B22222", "#6A51A3", "#666666")
"""Distinguishable in all common kinds of colour blindness as far as there are colours (Okabe and Ito 2008)."""
DARK_SERIES = ("#4FB3EA", "#F58A4B", "#35C79B", "#E39CC6", "#D9B84A", "#9AD4F7", "#F07C7C", "#B39DDB", "#BDBDBD")
LIGHT = {"ink": "#1c2733", "muted": "#5a6673", "grid": "#dde3e9", "surface": "#ffffff", "heat": "#0a5ea8"}
DARK = {"ink": "#e8edf2", "muted": "#a3b0bd", "grid": "#36424f", "surface": "#171e26", "heat": "#5fb0f0"}
FONT = "system-ui, 'DejaVu Sans', sans-serif"

Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True)
class Shape:
    """One mark; `colour` is a key of `LIGHT` or `series0`... ."""

    kind: Literal["line", "rect", "circle", "text"]
    points: tuple[tuple[float, float], ...]
    colour: str
    size: float = 1.0
    text: str = ""
    anchor: Anchor = "start"
    bold: bool = False
    dashed: bool = False
    opacity: float = 1.0
    turn: float = 0.0


@dataclass
class Drawing:
    """Shapes on a surface of `width` x `height` pixels, y downwards.

    Attributes:
        width: In pixels.
        height: In pixels.
        title: What a reader who cannot see it is told first.
        description: What it shows, in figures.
    """

    width: float
    height: float
    title: str
    description: str
    shapes: list[Shape] = field(default_factory=list)

    def line(
        self, points: Sequence[tuple[float, float]], colour: str, size: float = 1.5, *, dashed: bool = False
    ) -> None:
        """A line through `points`."""
        self.shapes.append(Shape("line", tuple(points), colour, size, dashed=dashed))

    def rect(self, x: float, y: float, width: float, height: float, colour: str, opacity: float = 1.0) -> None:
        """A filled rectangle."""
        self.shapes.append(Shape("rect", ((x, y), (width, height)), colour, opacity=opacity))

    def dot(self, x: float, y: float, colour: str, radius: float = 3.0) -> None:
        """A filled circle."""
        self.shapes.append(Shape("circle", ((x, y),), colour, radius))

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        colour: str = "ink",
        size: float = 12,
        anchor: Anchor = "start",
        bold: bool = False,
        turn: float = 0.0,
    ) -> None:
        """Text whose baseline begins, is centred or ends at (x, y), turned by `turn` degrees clockwise."""
        self.shapes.append(Shape("text", ((x, y),), colour, size, text, anchor, bold, turn=turn))

    def svg(self, *, name: str = "picture", standalone: bool = False) -> str:
        """As SVG. Inline it takes its colours from the page, standalone it brings both sets of them.

        Args:
            name: Unique on the page.
            standalone: As a file of its own.
        """
        head = (
            f'<svg class="chart" viewBox="0 0 {self.width:g} {self.height:g}" role="img" '
            f'aria-labelledby="{name}-t {name}-d" font-family="{FONT}" style="max-width:{1.1 * self.width:.0f}px"'
        )
        if standalone:
            head += f' xmlns="http://www.w3.org/2000/svg" width="{self.width:g}" height="{self.height:g}"'
        title = f'<title id="{name}-t">{escape(self.title)}</title>'
        title += f'<desc id="{name}-d">{escape(self.description)}</desc>'
        style = f"<style>{theme('svg')}</style>" if standalone else ""
        ground = (
            f'<rect width="{self.width:g}" height="{self.height:g}" fill="var(--surface)"/>' if standalone else ""
        )
        return f"{head}>{title}{style}{ground}{''.join(_svg(shape) for shape in self.shapes)}</svg>"

    def save(self, path: Path) -> None:
        """Write a `.svg` or `.png` file; PNG is light and of twice the size."""
        if path.suffix == ".svg":
            path.write_text(self.svg(standalone=True) + "\n", encoding="utf-8")
            return
        _save_png(self, path)


def theme(root: str) -> str:
    """CSS with the colours as variables of the element `root`, light, and dark where the reader prefers it."""

    def variables(colours: dict[str, str], series: Sequence[str]) -> str:
        named = colours | {f"series{number}": colour for number, colour in enumerate(series)}
        return ";".join(f"--{name}:{colour}" for name, colour in named.items())

    dark = variables(DARK, DARK_SERIES)
    return f"{root}{{{variables(LIGHT, SERIES)}}}@media screen and (prefers-color-scheme:dark){{{root}{{{dark}}}}}"


def _svg(shape: Shape) -> str:
    colour, (x, y) = f"var(--{shape.colour})", shape.points[0]
    if shape.kind == "line":
        points = " ".join(f"{px:.1f},{py:.1f}" for px, py in shape.points)
        dashes = ' stroke-dasharray="5 4"' if shape.dashed else ""
        return (
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{shape.size:g}"'
            f'{dashes} stroke-linejoin="round"/>'
        )
    if shape.kind == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{shape.size:g}" fill="{colour}"/>'
    if shape.kind == "rect":
        width, height = shape.points[1]
        faint = f' fill-opacity="{shape.opacity:.3f}"' if shape.opacity < 1 else ""
        return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"{faint}/>'
    turn = f' transform="rotate({shape.turn:g} {x:.1f} {y:.1f})"' if shape.turn else ""
    weight = ' font-weight="600"' if shape.bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{shape.size:g}" text-anchor="{shape.anchor}" '
        f'fill="{colour}"{weight}{turn}>{escape(shape.text)}</text>'
    )


def _save_png(drawing: Drawing, path: Path) -> None:
    from matplotlib import style
    from matplotlib.figure import Figure

    colours = LIGHT | {f"series{number}": colour for number, colour in enumerate(SERIES)}
    with style.context("default"):
        figure = Figure(figsize=(drawing.width / 100, drawing.height / 100), dpi=200, facecolor=LIGHT["surface"])
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(0, drawing.width)
        axes.set_ylim(drawing.height, 0)
        axes.set_axis_off()
        points = 72 / 100
        for shape in drawing.shapes:
            colour, (x, y) = colours[shape.colour], shape.points[0]
            if shape.kind == "line":
                dashes = (0, (5, 4)) if shape.dashed else "-"
                axes.plot(*zip(*shape.points, strict=True), color=colour, lw=shape.size * points, ls=dashes)
            elif shape.kind == "circle":
                axes.plot(x, y, "o", color=colour, ms=2 * shape.size * points, mew=0)
            elif shape.kind == "rect":
                from matplotlib.patches import Rectangle

                axes.add_patch(Rectangle((x, y), *shape.points[1], color=colour, alpha=shape.opacity, lw=0))
            else:
                axes.text(
                    x,
                    y,
                    shape.text,
                    color=colour,
                    fontsize=shape.size * points,
                    fontweight="bold" if shape.bold else "normal",
                    ha={"start": "left", "middle": "center", "end": "right"}[shape.anchor],
                    va="baseline",
                    rotation=-shape.turn,
                    rotation_mode="anchor",
                )
        figure.savefig(path, format="png", metadata={"Software": None})
