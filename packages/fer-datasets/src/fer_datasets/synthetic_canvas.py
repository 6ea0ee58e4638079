"""A display list in face coordinates that is turned in space, projected at once and painted with Pillow."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, sin

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Points = NDArray[np.float64]
Colour = tuple[int, int, int]

CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 17)[:-1]), np.sin(np.linspace(0, 2 * np.pi, 17)[:-1])], 1)


@dataclass(frozen=True)
class Pose:
    """Where the head is: angles in radians, `scale`, `x` and `y` in fractions of the picture's side."""

    yaw: float
    pitch: float
    roll: float
    scale: float
    x: float
    y: float


def curve(x: Points, y: Points) -> Points:
    """Points [N, 2] from their coordinates."""
    points = np.empty((len(x), 2))
    points[:, 0] = x
    points[:, 1] = y
    return points


def oval(x: float, y: float, width: float, height: float) -> Points:
    """An ellipse [16, 2] from its centre and half axes."""
    return CIRCLE * (width, height) + (x, y)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """A colour between two, `share` of the second."""
    (a, b, c), (p, q, r) = first, second
    return int(a + (p - a) * share), int(b + (q - b) * share), int(c + (r - c) * share)


def shade(colour: Colour, factor: float) -> Colour:
    """A darker (factor below 1) or lighter colour."""
    a, b, c = colour
    return min(255, int(a * factor)), min(255, int(b * factor)), min(255, int(c * factor))


def project(points: Points, lifts: Points, pose: Pose, side: int) -> Points:
    """Where a head in a pose shows points [N, 2] in face coordinates, in pixels of a picture with this side.

    `lifts` [N] says how far each stands out of the head's surface.
    """
    # The head is an ellipsoid: turning it moves what is near the viewer (nose, mouth) most.
    depth = np.sqrt(np.maximum(0.0, 1.0 - (points[:, 0] / 0.85) ** 2 - (points[:, 1] / 1.2) ** 2)) * 0.7
    depth += lifts
    x = points[:, 0] * cos(pose.yaw) + depth * sin(pose.yaw)
    y = points[:, 1] * cos(pose.pitch) + depth * sin(pose.pitch)
    zoom = pose.scale * side
    return curve(
        zoom * (x * cos(pose.roll) - y * sin(pose.roll)) + pose.x * side,
        zoom * (x * sin(pose.roll) + y * cos(pose.roll)) + pose.y * side,
    )


class Canvas:
    """Collects shapes in face coordinates: the head spans about -0.75..0.75 by -1..1, x right, y down."""

    def __init__(self) -> None:
        self._points: list[Points] = []
        self._shapes: list[tuple[Colour, float]] = []
        self._lifts: list[float] = []

    def fill(self, points: Points, colour: Colour, lift: float = 0.0) -> None:
        """Adds a filled polygon; `lift` is how far it stands out of the head's surface."""
        self._points.append(points)
        self._shapes.append((colour, 0.0))
        self._lifts.append(lift)

    def line(self, points: Points, colour: Colour, width: float, lift: float = 0.0) -> None:
        """Adds an open line; `width` in face units."""
        self._points.append(points)
        self._shapes.append((colour, width))
        self._lifts.append(lift)

    def paint(self, image: Image.Image, pose: Pose) -> None:
        """Paints all shapes, in the order in which they were added."""
        lengths = [len(points) for points in self._points]
        points = np.concatenate(self._points)
        side = image.width
        turned = project(points, np.repeat(self._lifts, lengths), pose, side)
        zoom = pose.scale * side
        flat = turned.ravel().tolist()
        draw = ImageDraw.Draw(image)
        start = 0
        for length, (colour, width) in zip(lengths, self._shapes, strict=True):
            stop = start + 2 * length
            if width:
                draw.line(flat[start:stop], fill=colour, width=max(1, round(width * zoom)))
            else:
                draw.polygon(flat[start:stop], fill=colour)
            start = stop
