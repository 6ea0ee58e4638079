"""Labels that do not overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fer_core.plotting.palette import MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move places on a line apart, as little as it takes, without changing their order.

    Args:
        places: Where labels would stand.
        gap: Least distance of two of them.
        low: Where the line begins.
        high: Where it ends; exceeded only where there are more labels than fit.

    Returns:
        The new places, in the order given.
    """
    order = sorted(range(len(places)), key=lambda number: places[number])
    blocks: list[tuple[float, list[int]]] = []  # centre of each run of labels that stand as close as they may
    for number in order:
        centre, members = float(places[number]), [number]
        while blocks and centre - blocks[-1][0] < gap * (len(members) + len(blocks[-1][1])) / 2:
            other, before = blocks.pop()
            total = len(before) + len(members)
            centre, members = (other * len(before) + centre * len(members)) / total, before + members
        half = gap * (len(members) - 1) / 2
        centre = max(low + half, min(centre, high - half))
        blocks.append((centre, members))
    found = [0.0] * len(places)
    for centre, members in blocks:
        for rank, number in enumerate(members):
            found[number] = centre + gap * (rank - (len(members) - 1) / 2)
    for earlier, later in zip(order[-2::-1], order[:0:-1], strict=True):  # the last block may have been moved down
        found[earlier] = min(found[earlier], found[later] - gap)
    return found


def label_right(
    axes: Axes,
    points: Sequence[tuple[float, float, str, str]],
    gap: float,
    at: float,
    *,
    bounds: tuple[float, float],
) -> None:
    """Write names in a column right of the axes, each joined to its point by a thin line.

    Args:
        axes: Where the points are.
        points: x, y, name and colour of each.
        gap: Least distance of two names, in units of y.
        at: Where the column stands, in units of x.
        bounds: Lowest and highest y of a name.
    """
    # From the middle of its left side, so that the line to a name does not cross it.
    line = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 4, "relpos": (0, 0.5)}
    for (x, y, name, colour), place in zip(points, spread([p[1] for p in points], gap, *bounds), strict=True):
        axes.annotate(
            name, (x, y), (at, place), arrowprops=line, color=colour, fontsize=10, va="center",
            annotation_clip=False,
        )  # fmt: skip
