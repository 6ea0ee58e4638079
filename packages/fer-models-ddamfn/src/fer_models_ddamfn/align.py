"""Alignment of faces to 112 x 112 pixels by five landmarks, as DDAMFN++ prepares its images.

The landmarks come from a face detector of your choice; the authors use RetinaFace with a MobileNet of 0.25. Five
templates, from left to right profile, keep a turned face from being squeezed into a frontal one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from fer_core.errors import FerError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Points = NDArray[np.float64]

SIZE = 112
"""Height and width of an aligned face in pixels."""

TEMPLATES = np.array(
    [
        [[55.55, 49.477], [62.116, 49.339], [38.075, 70.237], [55.017, 92.262], [61.466, 92.979]],
        [[47.241, 48.598], [72.887, 49.54], [40.555, 71.067], [47.423, 93.643], [71.236, 94.353]],
        [[33.566, 40.559], [78.321, 40.559], [55.338, 64.967], [38.479, 90.276], [73.591, 90.276]],
        [[39.516, 49.54], [65.162, 48.598], [71.849, 71.067], [41.167, 94.353], [64.98, 93.643]],
        [[50.225, 49.339], [56.791, 49.477], [74.266, 70.237], [50.875, 92.979], [65.317, 92.262]],
    ]
)
"""Where eyes, nose and corners of the mouth (left before right, as seen) lie in an aligned face, as x and y: faces
that look far left, left, ahead, right and far right."""


def align_face(image: NDArray[np.uint8], landmarks: ArrayLike) -> NDArray[np.uint8]:
    """Turn, scale and shift a face so that its landmarks lie as near as they can to the template that fits best.

    The authors cut the fractions of the landmarks off before, and so does this.

    Args:
        image: The picture, uint8 [H, W, channels], in any order of channels.
        landmarks: x and y in pixels of left eye, right eye, nose, left and right corner of the mouth (left as seen
            in the picture), [5, 2] or the ten numbers in a row.

    Returns:
        The face, uint8 [112, 112, channels], black where it lies outside of the picture.

    Raises:
        FerError: The image or the landmarks have another form, or the landmarks are one point.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or 0 in image.shape:
        raise FerError(f"the image is {image.dtype} {list(image.shape)}: pass uint8 [H, W, channels]")
    _, matrix, _ = choose_template(np.trunc(_points(landmarks)))
    return warp(image, matrix)


def choose_template(landmarks: ArrayLike) -> tuple[int, Points, float]:
    """The template that the landmarks fit best.

    Args:
        landmarks: As in `align_face`; taken as they are.

    Returns:
        The index in `TEMPLATES`, the matrix [2, 3] of `fit_similarity`, and the sum of the five distances in
        pixels that remain, by which the template is chosen.

    Raises:
        FerError: The landmarks have another form or are one point.
    """
    points = _points(landmarks)
    fits = [fit_similarity(points, template) for template in TEMPLATES]
    errors = [
        float(np.linalg.norm(points @ matrix[:, :2].T + matrix[:, 2] - template, axis=1).sum())
        for matrix, template in zip(fits, TEMPLATES, strict=True)
    ]
    best = int(np.argmin(errors))
    return best, fits[best], errors[best]


def fit_similarity(points: Points, template: Points) -> Points:
    """Rotation, uniform scale and shift that take `points` as near as possible to `template`, in least squares.

    It is Umeyama's estimate (IEEE TPAMI 13(4), 1991) without reflection. In the plane it has a closed form: with
    points as complex numbers, z to a z + b, it is linear in a and b.

    Args:
        points: [K, 2], at least two of them distinct.
        template: [K, 2].

    Returns:
        The matrix [2, 3] that maps (x, y, 1).
    """
    center, target = points.mean(axis=0), template.mean(axis=0)
    z, t = _complex(points - center), _complex(template - target)
    a = np.vdot(z, t) / np.vdot(z, z).real
    linear = np.array([[a.real, -a.imag], [a.imag, a.real]])
    return np.column_stack((linear, target - linear @ center))


def warp(image: NDArray[np.uint8], matrix: Points) -> NDArray[np.uint8]:
    """Move an image by a matrix and cut out the square of 112 x 112 pixels at the origin; bilinear, black outside.

    A pixel lies at its whole-number coordinates. OpenCV, which the authors use, does the same on a grid of 1/32
    pixel, so values may differ by a few units at sharp edges.

    Args:
        image: uint8 [H, W, channels].
        matrix: [2, 3], from coordinates in `image` to those in the result; invertible.
    """
    height, width, channels = image.shape
    y, x = np.mgrid[:SIZE, :SIZE].reshape(2, -1).astype(np.float64)
    source = np.linalg.solve(matrix[:, :2], np.stack((x, y)) - matrix[:, 2:])
    low = np.floor(source)
    share = source - low
    # The frame of zeros is what lies outside; far coordinates are moved onto it, where all neighbours are black.
    framed = np.zeros((height + 3, width + 3, channels), np.float64)
    framed[1:-2, 1:-2] = image
    column = np.clip(low[0], -1, width).astype(np.intp) + 1
    row = np.clip(low[1], -1, height).astype(np.intp) + 1
    result = np.zeros((SIZE * SIZE, channels))
    for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = (share[0] if dx else 1 - share[0]) * (share[1] if dy else 1 - share[1])
        result += weight[:, None] * framed[row + dy, column + dx]
    return np.rint(result).astype(np.uint8).reshape(SIZE, SIZE, channels)


def _points(landmarks: ArrayLike) -> Points:
    points = np.asarray(landmarks, dtype=np.float64)
    if points.size != 10 or not np.isfinite(points).all():
        raise FerError(
            f"the landmarks have the shape {list(points.shape)}, or are no numbers: pass x and y of left eye, "
            "right eye, nose, left and right corner of the mouth"
        )
    points = points.reshape(5, 2)
    if np.ptp(points, axis=0).max() == 0:
        raise FerError("the five landmarks are one point, which no face has: look at what the detector returned")
    return points


def _complex(points: Points) -> NDArray[np.complex128]:
    return points[:, 0] + 1j * points[:, 1]
