"""Draws the mouth: lips, teeth, tongue and dimples, moved by the lower-face action units."""

from __future__ import annotations

import numpy as np

from fer_datasets.synthetic_canvas import Canvas, Colour, Points, curve, mix, shade
from fer_datasets.synthetic_identity import Identity
from fer_datasets.synthetic_units import Action

_U = np.linspace(-1, 1, 15)
_ARC = 1 - _U**2
_ROUND = np.sqrt(_ARC)
_BOW = _ARC**0.8 * (1 - 0.3 * np.exp(-((_U / 0.2) ** 2)))
_INSIDE: Colour = (70, 22, 24)
_TEETH: Colour = (240, 236, 226)
_TONGUE: Colour = (176, 78, 82)


def jaw_drop(action: Action) -> float:
    """How far the chin sinks, in face units."""
    return 0.08 * action[26] + 0.1 * action[27]


def _half_width(who: Identity, action: Action) -> float:
    change = 0.3 * action[12] + 0.3 * action[20] + 0.08 * action[14] + 0.06 * action[10]
    return who.mouth_width * (1 + change - 0.12 * action[23] - 0.22 * action[27] - 0.08 * action[17])


def _corner_lift(who: Identity, action: Action, factor: float) -> float:
    pull = 0.13 * action[12] + 0.045 * action[14] - 0.12 * action[15] - 0.035 * action[20]
    return who.mouth_curve + factor * pull - 0.5 * jaw_drop(action)


def corners(who: Identity, action: Action) -> tuple[tuple[float, float], tuple[float, float]]:
    """Left and right corner of the mouth (x, y)."""
    half = _half_width(who, action)
    left = who.mouth_y - _corner_lift(who, action, action.left)
    right = who.mouth_y - _corner_lift(who, action, action.right)
    return (-half, left), (half, right)


def _between(upper: Points, lower: Points, x: Points) -> Points:
    return np.concatenate([curve(x, upper), curve(x, lower)[::-1]])


def draw_mouth(canvas: Canvas, who: Identity, action: Action) -> None:
    """Adds the mouth to the canvas."""
    (left, left_y), (right, right_y) = corners(who, action)
    x = _U * right
    seam = np.where(_U < 0, left_y, right_y) * _U**2 + who.mouth_y * _ARC - 0.055 * action[17] * _ARC
    opening = 0.07 * action[25] + 0.14 * action[26] + 0.22 * action[27]
    # Stretched lips (20) open as a slot, a dropped jaw as an oval.
    shape = _ARC**0.5 if action[20] > 0.3 else _ARC**0.75
    top = seam - (0.05 * action[10] + 0.035 * min(1.0, 4 * opening)) * _ARC
    bottom = np.maximum(top, seam + opening * shape)
    thin = 1 - 0.7 * action[23] - 0.2 * action[12] - 0.2 * action[20] - 0.2 * action[15]
    upper = top - who.upper_lip * thin * _BOW - 0.004
    lower = bottom + who.lower_lip * (thin + 0.3 * action[17]) * _ROUND + 0.004
    canvas.fill(_between(upper, lower, x), who.lips, 0.06)
    if opening > 0.015:
        canvas.fill(_between(top, bottom, x), _INSIDE, 0.06)
        if opening > 0.12:
            tongue = np.maximum(bottom - 0.4 * opening * _ARC, top)
            canvas.fill(_between(tongue, bottom, x * 0.8), _TONGUE, 0.05)
        show = 0.035 + 0.05 * action[12] + 0.05 * action[10] + 0.03 * action[20]
        canvas.fill(_between(top, np.minimum(top + show * _ROUND, bottom), x * 0.92), _TEETH, 0.06)
        if action[20] > 0.3 or action[23] > 0.3:
            canvas.fill(_between(np.maximum(bottom - 0.03 * _ROUND, top), bottom, x * 0.85), _TEETH, 0.06)
    else:
        canvas.line(curve(x, seam), shade(who.lips, 0.45), 0.024, 0.06)
    shadow = mix(who.skin, shade(who.skin, 0.6), 0.6)
    canvas.line(curve(x[4:11] * 0.9, lower[4:11] + 0.03), shadow, 0.02, 0.04)
    for corner_x, corner_y, factor in ((left, left_y, action.left), (right, right_y, action.right)):
        depth = factor * max(action[14], 0.4 * action[12], 0.4 * action[23])
        if depth > 0.2:
            side = 1 if corner_x > 0 else -1
            dimple = curve(corner_x + side * np.array([0.02, 0.05, 0.03]), corner_y + np.array([-0.06, 0.0, 0.06]))
            canvas.line(dimple, mix(who.skin, shade(who.skin, 0.45), min(1.0, depth)), 0.024, 0.03)
