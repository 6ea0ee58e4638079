"""Cutting a face out of a photograph: a square around its box, or five points mapped to a template.

numpy and PIL, no OpenCV. Coordinates are those of `fer_core.faces`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from fer_core import registry
from fer_core.errors import FerError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from fer_core.faces import Alignment, Template

    Floats = NDArray[np.float64]
    Pixels = NDArray[np.uint8]


MAX_CUT = 8192
"""Largest side of a square that is cut, in pixels of the photograph."""
_SMALLEST = 1e-12
"""Least determinant of a fit; a smaller one shrinks the photograph to a point."""


@dataclass(frozen=True)
class Fit:
    """A face fitted to a template.

    Attributes:
        pose: Which of the template's poses, 0-based.
        matrix: [2, 3], maps (x, y, 1) in the photograph to (x, y) in the aligned image.
        residual: Sum of the five distances that remain, in pixels of the aligned image.
    """

    pose: int
    matrix: Floats
    residual: float


def cut_face(
    image: Pixels, alignment: Alignment, *, box: ArrayLike | None = None, points: ArrayLike | None = None
) -> Pixels:
    """Cut a face out of a photograph.

    Args:
        image: uint8 [H, W, channels], in any order of channels.
        alignment: How.
        box: Left, top, right and bottom edge of the face, for an alignment by `box`.
        points: x and y of the five points, [5, 2] or the ten numbers in a row, for an alignment by `points`.

    Returns:
        uint8 [size, size, channels], black where it lies outside of the photograph. `image` itself where nothing
        is cut. An alignment by box without a size gives the square as the photograph has it, in whole pixels.

    Raises:
        FerError: The image has another shape, the box or the points that the alignment needs are missing or
            invalid, or the template is unknown.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or 0 in image.shape:
        raise FerError(f"the image is {image.dtype} {list(image.shape)}: pass uint8 [H, W, channels]")
    if alignment.kind == "none":
        return image
    if alignment.kind == "box":
        return _cut_square(image, *square_of(box, alignment.margin), alignment.size)
    assert alignment.template is not None
    assert alignment.size is not None
    template: Template = registry.find("templates", alignment.template)
    return warp(image, fit_template(points, template, alignment.size).matrix, alignment.size)


def fit_template(points: ArrayLike | None, template: Template, size: int) -> Fit:
    """Fit five points to the pose of a template that leaves the smallest residual.

    Args:
        points: As in `cut_face`.
        template: Its points are scaled from the size that they are given for to `size`, as InsightFace does.
        size: Height and width of the aligned image in pixels.

    Raises:
        FerError: The points have another shape, coincide, or fit no pose at all.
    """
    face = _points(points)
    face = np.trunc(face) if template.whole_pixels else face
    if np.ptp(face, axis=0).max() == 0:
        raise FerError("the five points coincide: check what the detector returned")
    fits = []
    for number, pose in enumerate(np.array(template.poses) * (size / template.size)):
        matrix = fit_similarity(face, pose)
        distances = np.linalg.norm(face @ matrix[:, :2].T + matrix[:, 2] - pose, axis=1)
        fits.append(Fit(number, matrix, float(distances.sum())))
    best = min(fits, key=lambda fit: fit.residual)
    if np.linalg.det(best.matrix[:, :2]) < _SMALLEST:
        raise FerError("the five points match no pose of a face: check their order")
    return best


def fit_similarity(points: Floats, target: Floats) -> Floats:
    """Rotation, uniform scale and shift that take `points` as near as possible to `target`, in least squares.

    It is Umeyama's estimate (IEEE TPAMI 13(4), 1991) without reflection. In the plane it has a closed form: with
    points as complex numbers, z to a z + b, it is linear in a and b.

    Args:
        points: [K, 2], at least two of them distinct.
        target: [K, 2].

    Returns:
        The matrix [2, 3] that maps (x, y, 1).
    """
    center, aim = points.mean(axis=0), target.mean(axis=0)
    z, t = _complex(points - center), _complex(target - aim)
    a = np.vdot(z, t) / np.vdot(z, z).real
    linear = np.array([[a.real, -a.imag], [a.imag, a.real]])
    return np.column_stack((linear, aim - linear @ center))


def warp(image: Pixels, matrix: Floats, size: int) -> Pixels:
    """Move an image by a matrix and cut out the square at the origin; bilinear, black outside.

    The four neighbours of a place are mixed, also where the image shrinks, as the papers' code does it. OpenCV
    does the same on a grid of 1/32 pixel, so values may differ by a few units at sharp edges.

    Args:
        image: uint8 [H, W, channels].
        matrix: [2, 3], from coordinates in `image` to those in the result; invertible.
        size: Height and width of the result in pixels.
    """
    height, width, channels = image.shape
    y, x = np.mgrid[:size, :size].reshape(2, -1).astype(np.float64)
    source = np.linalg.solve(matrix[:, :2], np.stack((x, y)) - matrix[:, 2:])
    low = np.floor(source)
    share = source - low
    column = np.clip(low[0], -1, width).astype(np.intp)
    row = np.clip(low[1], -1, height).astype(np.intp)
    # Only the part that is read gets a frame of zeros, which is what lies outside; far coordinates were moved onto
    # it, where all neighbours are black.
    left, top = max(int(column.min()), 0), max(int(row.min()), 0)
    part = image[top : int(row.max()) + 2, left : int(column.max()) + 2]
    framed = np.zeros((part.shape[0] + 3, part.shape[1] + 3, channels), np.uint8)
    framed[1:-2, 1:-2] = part
    column, row = column - left + 1, row - top + 1
    result = np.zeros((size * size, channels))
    for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = (share[0] if dx else 1 - share[0]) * (share[1] if dy else 1 - share[1])
        result += weight[:, None] * framed[row + dy, column + dx]
    return np.rint(result).astype(np.uint8).reshape(size, size, channels)


def square_of(box: ArrayLike | None, margin: float) -> tuple[float, float, float]:
    """The square around the centre of a box whose side is the box's longer one, enlarged by a share of it.

    Returns:
        Left and top edge, and the side.

    Raises:
        FerError: The box has another shape or no area.
    """
    edges = np.full(0, np.nan) if box is None else np.asarray(box, dtype=np.float64).ravel()
    if edges.size != 4 or not np.isfinite(edges).all() or edges[0] >= edges[2] or edges[1] >= edges[3]:
        raise FerError(f"the box of the face is {box!r}: pass its left, top, right and bottom edge")
    left, top, right, bottom = edges.tolist()
    side = max(right - left, bottom - top) * (1 + margin)
    return (left + right - side) / 2, (top + bottom - side) / 2, side


def _cut_square(image: Pixels, left: float, top: float, side: float, size: int | None) -> Pixels:
    """A square of a photograph, black outside, at its own size or resized by PIL (bilinear, with antialiasing)."""
    if side > MAX_CUT:
        raise FerError(f"the face is {side:.0f} pixels wide, over {MAX_CUT}: shrink the photograph")
    if size is None:
        return _cut(image, round(left), round(top), max(round(side), 1))
    reach = ceil(max(side / size, 1))  # how far the filter reaches beyond the square
    x, y = floor(left) - reach, floor(top) - reach
    wide = _cut(image, x, y, ceil(side) + 2 * reach + 1)
    place = (left - x, top - y, left - x + side, top - y + side)
    planes = [Image.fromarray(wide[..., channel]) for channel in range(wide.shape[-1])]
    resized = [plane.resize((size, size), Image.Resampling.BILINEAR, box=place) for plane in planes]
    return np.stack([np.asarray(plane) for plane in resized], axis=-1)


def _cut(image: Pixels, x: int, y: int, side: int) -> Pixels:
    """The square of whole pixels whose first one is (x, y), black outside of the image."""
    height, width, channels = image.shape
    cut = np.zeros((side, side, channels), np.uint8)
    x0, x1 = (min(max(edge, 0), width) for edge in (x, x + side))
    y0, y1 = (min(max(edge, 0), height) for edge in (y, y + side))
    cut[y0 - y : y1 - y, x0 - x : x1 - x] = image[y0:y1, x0:x1]
    return cut


def _points(points: ArrayLike | None) -> Floats:
    found = np.full(0, np.nan) if points is None else np.asarray(points, dtype=np.float64)
    if found.size != 10 or not np.isfinite(found).all():
        raise FerError(
            f"the five points have the shape {list(found.shape)}, or are not numbers: pass x and y of the left "
            "eye, the right eye, the nose, the left and the right corner of the mouth"
        )
    return found.reshape(5, 2)


def _complex(points: Floats) -> NDArray[np.complex128]:
    return points[:, 0] + 1j * points[:, 1]
