"""Draws one person's head while it performs action units: skull, hair, eyes, brows, nose and skin folds."""

from __future__ import annotations

import numpy as np

from fer_datasets.synthetic_canvas import Canvas, Colour, Points, curve, mix, oval, shade
from fer_datasets.synthetic_identity import Identity
from fer_datasets.synthetic_mouth import corners, draw_mouth, jaw_drop
from fer_datasets.synthetic_units import Action

_TURN = np.linspace(0, 2 * np.pi, 33)[:-1]
_COS, _SIN = np.cos(_TURN), np.sin(_TURN)
_U = np.linspace(-1, 1, 11)
_LID = (1 - _U**2) ** 0.75
_T = np.linspace(0, 1, 8)
NOSE_LIFT = 0.22
"""How far the tip of the nose stands out of the head's surface."""
_SCLERA: Colour = (240, 238, 234)
_BLACK: Colour = (22, 16, 14)


def draw_head(canvas: Canvas, who: Identity, action: Action, gaze: tuple[float, float]) -> None:
    """Adds a head to the canvas; `gaze` moves the irises by fractions of their radius."""
    _draw_skull(canvas, who, jaw_drop(action))
    for side in (-1, 1):
        _draw_eye(canvas, who, action, side, gaze)
    _draw_folds(canvas, who, action)
    _draw_nose(canvas, who, action)
    draw_mouth(canvas, who, action)
    _draw_hair_front(canvas, who)
    for side in (-1, 1):
        _draw_brow(canvas, who, action, side)
        if who.glasses:
            _draw_glass(canvas, who, side)


def landmarks(who: Identity, action: Action) -> tuple[Points, Points]:
    """The outline of the face below the hairline, and its five points; both in face coordinates."""
    outline = _outline(who, 1.0, jaw_drop(action))
    outline[:, 1] = np.maximum(outline[:, 1], who.hairline)
    left, right = corners(who, action)
    eyes = [(side * who.eye_x, who.eye_y) for side in (-1, 1)]
    return outline, np.array([*eyes, (0.0, _nose_base(who, action)), left, right])


def _outline(who: Identity, grow: float, drop: float = 0.0) -> Points:
    x = who.width * grow * np.sign(_COS) * np.abs(_COS) ** who.square
    y = _SIN.copy()
    x *= 1 - who.jaw * np.maximum(y, 0) ** 1.6
    y *= np.where(y > 0, 1 + drop, grow)
    return curve(x, y)


def _draw_skull(canvas: Canvas, who: Identity, drop: float) -> None:
    dark = shade(who.skin, 0.78)
    shoulders = curve(np.array([-1.5, -1.2, -0.35, 0.35, 1.2, 1.5]), np.array([2.6, 1.5, 1.2, 1.2, 1.5, 2.6]))
    if not who.bald:
        back = _outline(who, 1.13)
        back[:, 1] = np.where(back[:, 1] > 0, back[:, 1] * who.hair_length, back[:, 1])
        canvas.fill(back, shade(who.hair, 0.85), -0.3)
    canvas.fill(shoulders, who.clothes, -0.5)
    canvas.fill(
        curve(np.array([-0.42, 0.42, 0.46, -0.46]), np.array([0.6, 0.6, 1.3, 1.3])), shade(who.skin, 0.66), -0.3
    )
    for side in (-1, 1):
        canvas.fill(oval(side * who.width * 1.0, 0.05, 0.1, 0.19), dark)
    face = _outline(who, 1.0, drop)
    canvas.fill(face, shade(who.skin, 0.86))
    canvas.fill(face * (0.9, 0.95), who.skin)
    if who.beard:
        lower = face[face[:, 1] > 0.3] * (0.99, 0.99)
        middle = curve(np.array([-0.5, 0.0, 0.5]), np.array([0.42, 0.4, 0.42]))
        canvas.fill(np.concatenate([lower, middle]), mix(who.skin, who.hair, who.beard * 0.6))


def _draw_eye(canvas: Canvas, who: Identity, action: Action, side: int, gaze: tuple[float, float]) -> None:
    wide, squeeze, cheek, nose = action[5], action[7], action[6], action[9]
    high = who.eye_height * (1 + 0.65 * wide - 0.45 * squeeze - 0.3 * cheek - 0.35 * nose - 0.2 * action[15])
    low = who.eye_height * 0.65 * (1 + 0.15 * wide - 0.55 * squeeze - 1.0 * cheek - 0.6 * nose)
    x = side * who.eye_x + _U * who.eye_width
    middle = who.eye_y + who.eye_tilt * _U * side
    # A droop of the outer end comes with the raised inner brow of sadness.
    top = middle - max(high, 0.02) * _LID * (1 - 0.18 * action[1] * (_U * side))
    bottom = middle + low * _LID
    bottom = np.maximum(bottom, top + 0.02)
    canvas.fill(np.concatenate([curve(x, top), curve(x, bottom)[::-1]]), _SCLERA)
    eye_x, eye_y = side * who.eye_x + gaze[0] * who.iris, who.eye_y - 0.02 + gaze[1] * who.iris
    canvas.fill(oval(eye_x, eye_y, who.iris, who.iris), who.eyes)
    canvas.fill(oval(eye_x, eye_y, who.iris * 0.5, who.iris * 0.5), _BLACK)
    lid = shade(who.skin, 0.92)
    reach = 2.2 * who.iris
    canvas.fill(np.concatenate([curve(x, top), curve(x, np.minimum(top, who.eye_y - reach))[::-1]]), lid)
    canvas.fill(
        np.concatenate([curve(x, bottom), curve(x, np.maximum(bottom, who.eye_y + reach))[::-1]]), who.skin
    )
    canvas.line(curve(x, top), _BLACK, 0.03)
    canvas.line(curve(x, bottom), shade(who.skin, 0.6), 0.015)
    crease = 0.045 + 0.02 * wide
    canvas.line(curve(x, top - crease * _LID), shade(who.skin, 0.68), 0.015)
    bag = 0.35 * who.age + 0.9 * max(cheek, 0.7 * squeeze)
    under = bottom + 0.05 + 0.03 * _LID
    canvas.line(curve(x, under), mix(who.skin, shade(who.skin, 0.55), min(1.0, bag)), 0.02)
    if cheek > 0.3:
        edge = side * (who.eye_x + who.eye_width)
        for slant in (-0.06, 0.02):
            canvas.line(
                curve(
                    np.array([edge + side * 0.03, edge + side * 0.1]), who.eye_y + np.array([slant * 0.4, slant])
                ),
                shade(who.skin, 0.65),
                0.014,
            )


def _draw_brow(canvas: Canvas, who: Identity, action: Action, side: int) -> None:
    inner = who.eye_x - who.eye_width * 0.95 - 0.05 * action[4]
    outer = who.eye_x + who.eye_width * 1.25
    x = inner + (outer - inner) * _T
    y = who.eye_y - who.brow_gap - who.brow_arch * np.sin(np.pi * _T**0.8) + who.brow_slope * (0.5 - _T)
    y -= 0.15 * action[1] * (1 - _T) ** 1.3
    y -= 0.13 * action[2] * _T**0.7 * (1.15 - 0.4 * _T)
    y += (0.11 * action[4] + 0.07 * action[9]) * (1 - 0.75 * _T)
    half = who.brow_width * 0.5 * (1 - 0.65 * _T**2)
    x = side * x
    brow = mix(who.hair, _BLACK, 0.35)
    canvas.fill(np.concatenate([curve(x, y - half), curve(x, y + half)[::-1]]), brow, 0.03)


def _draw_glass(canvas: Canvas, who: Identity, side: int) -> None:
    ring = oval(side * who.eye_x, who.eye_y + 0.02, 0.24, 0.19)
    canvas.line(np.concatenate([ring, ring[:1]]), _BLACK, 0.025, 0.08)
    ends = curve(np.array([side * (who.eye_x - 0.24), 0.0]), np.full(2, who.eye_y))
    canvas.line(ends, _BLACK, 0.025, 0.08)


def _wrinkle(action: Action) -> float:
    return max(action[9], 0.5 * action[10])


def _nose_base(who: Identity, action: Action) -> float:
    return who.nose_y - 0.045 * _wrinkle(action)


def _draw_nose(canvas: Canvas, who: Identity, action: Action) -> None:
    wrinkle, base = _wrinkle(action), _nose_base(who, action)
    half = who.nose_width * (1 + 0.18 * wrinkle + 0.08 * action[4])
    dark = shade(who.skin, 0.82)
    canvas.fill(
        curve(np.array([0.03, 0.06, half, half * 0.5]), np.array([who.eye_y, who.eye_y, base, base + 0.04])),
        dark,
        0.15,
    )
    canvas.fill(oval(0, base, half * 0.6, 0.06), shade(who.skin, 1.04), NOSE_LIFT)
    for side in (-1, 1):
        wing = curve(side * half * np.array([0.75, 1.0, 1.0, 0.7]), base + np.array([-0.08, -0.04, 0.02, 0.05]))
        canvas.line(wing, shade(who.skin, 0.62), 0.022, 0.12)
        canvas.fill(oval(side * half * 0.42, base + 0.045, 0.035, 0.018), shade(who.skin, 0.4), 0.18)
    if action[9] > 0.2:
        tone = mix(who.skin, shade(who.skin, 0.5), action[9])
        for height in (0.02, 0.09):
            bend = curve(np.array([-0.1, 0.0, 0.1]), who.eye_y + height + np.array([0.03, 0.0, 0.03]))
            canvas.line(bend, tone, 0.02, 0.15)


def _draw_folds(canvas: Canvas, who: Identity, action: Action) -> None:
    deep = shade(who.skin, 0.55)
    raised = max(action[1], action[2])
    lines = min(1.0, 0.3 * who.age + 0.9 * raised)
    if lines > 0.15:
        reach = 0.36 if action[2] > 0.25 else 0.2
        bow = 0.03 if action[2] > 0.25 else -0.03
        for height in (0.42, 0.5):
            x = _U * reach
            canvas.line(curve(x, who.eye_y - height - bow * (1 - _U**2)), mix(who.skin, deep, 0.7 * lines), 0.016)
    if action[4] > 0.2:
        for side in (-1, 1):
            x = side * np.array([0.045, 0.06])
            canvas.line(
                curve(x, who.eye_y + np.array([-0.08, -0.27])), mix(who.skin, deep, action[4]), 0.022, 0.05
            )
    fold = min(1.0, 0.35 * who.age + max(action[9], action[10], action[12] * 0.9))
    for corner, low in corners(who, action):
        if fold > 0.1:
            side = 1 if corner > 0 else -1
            start = side * who.nose_width * 1.15
            end = corner + side * 0.09
            bend = start + (end - start) * _T + side * 0.05 * np.sin(np.pi * _T)
            top = who.nose_y - 0.05 * (1 + action[9])
            canvas.line(curve(bend, top + (low - top) * _T), mix(who.skin, deep, fold * 0.8), 0.022)
    if action[17] > 0.25:
        x = _U * 0.15
        canvas.line(curve(x, who.mouth_y + 0.2 - 0.05 * _LID), mix(who.skin, deep, action[17]), 0.022)


def _draw_hair_front(canvas: Canvas, who: Identity) -> None:
    if who.bald:
        return
    x = _U * who.width * 1.04
    # A wavy edge and a few strands, else hair looks like a cap.
    line = who.hairline + 0.42 * np.abs(_U) ** 3 + who.fringe * (_U - who.parting) ** 2 + 0.02 * np.cos(9 * _U)
    crown = -1.08 * np.sqrt(np.maximum(0.0, 1 - (_U * 0.97) ** 2))
    canvas.fill(np.concatenate([curve(x, np.maximum(line, crown)), curve(x, crown)[::-1]]), who.hair)
    for share in (0.3, 0.55, 0.8):
        strand = crown + share * (np.maximum(line, crown) - crown)
        canvas.line(curve(x, strand)[1:-1], shade(who.hair, 0.82 if share > 0.5 else 1.12), 0.02)
