"""Who is drawn: the shape and the colours that all pictures of one person share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fer_datasets.synthetic_canvas import Colour, mix

_SKIN: tuple[Colour, ...] = (
    (247, 214, 190),
    (232, 188, 156),
    (212, 160, 122),
    (176, 120, 84),
    (132, 86, 58),
    (92, 60, 44),
)
_HAIR: tuple[Colour, ...] = (
    (28, 22, 20),
    (60, 40, 28),
    (104, 70, 40),
    (142, 98, 48),
    (150, 64, 36),
    (150, 148, 146),
)
_EYES: tuple[Colour, ...] = ((70, 44, 28), (44, 30, 22), (88, 118, 150), (92, 112, 74))
_LIPS: Colour = (178, 62, 70)


@dataclass(frozen=True)
class Identity:
    """Geometry in face coordinates (see `Canvas`) and colours."""

    width: float
    jaw: float
    square: float
    eye_x: float
    eye_y: float
    eye_width: float
    eye_height: float
    eye_tilt: float
    iris: float
    brow_gap: float
    brow_arch: float
    brow_slope: float
    brow_width: float
    nose_y: float
    nose_width: float
    mouth_y: float
    mouth_width: float
    mouth_curve: float
    upper_lip: float
    lower_lip: float
    hairline: float
    hair_length: float
    fringe: float
    parting: float
    age: float
    skin: Colour
    hair: Colour
    eyes: Colour
    lips: Colour
    clothes: Colour
    bald: bool
    glasses: bool
    beard: float


def sample_identity(rng: np.random.Generator) -> Identity:
    """Draws a person."""
    tone = (len(_SKIN) - 1) * float(rng.random()) ** 1.4
    skin = mix(_SKIN[int(tone)], _SKIN[int(tone) + 1], tone % 1)
    # Dark skin rarely comes with fair hair, and brows must stay visible on it.
    hair = _HAIR[int(rng.integers(len(_HAIR) if tone < 3 else 2))]
    man = rng.random() < 0.5
    bald = bool(man and rng.random() < 0.15)
    beard = float(rng.uniform(0.2, 0.7)) if man and rng.random() < 0.35 else 0.0
    clothes = tuple(int(v) for v in rng.integers(20, 236, 3))
    return Identity(
        width=rng.uniform(0.66, 0.78),
        jaw=rng.uniform(0.12, 0.38),
        square=rng.uniform(0.8, 1.0),
        eye_x=rng.uniform(0.29, 0.35),
        eye_y=rng.uniform(-0.16, -0.08),
        eye_width=rng.uniform(0.145, 0.18),
        eye_height=rng.uniform(0.075, 0.1),
        eye_tilt=rng.uniform(-0.03, 0.025),
        iris=rng.uniform(0.072, 0.085),
        brow_gap=rng.uniform(0.2, 0.26),
        brow_arch=rng.uniform(0.0, 0.06),
        brow_slope=rng.uniform(-0.04, 0.03),
        brow_width=rng.uniform(0.035, 0.075),
        nose_y=rng.uniform(0.22, 0.3),
        nose_width=rng.uniform(0.11, 0.17),
        mouth_y=rng.uniform(0.54, 0.61),
        mouth_width=rng.uniform(0.23, 0.3),
        mouth_curve=rng.uniform(-0.02, 0.02),
        upper_lip=rng.uniform(0.035, 0.065),
        lower_lip=rng.uniform(0.045, 0.08),
        hairline=rng.uniform(-0.84, -0.56),
        hair_length=rng.uniform(0.1, 0.4) if man else rng.uniform(0.3, 1.3),
        fringe=rng.uniform(-0.12, 0.2),
        parting=rng.uniform(-0.4, 0.4),
        age=float(rng.random()) ** 2,
        skin=skin,
        hair=hair,
        eyes=_EYES[int(rng.integers(len(_EYES)))],
        lips=mix(skin, _LIPS, rng.uniform(0.3, 0.75)),
        clothes=(clothes[0], clothes[1], clothes[2]),
        bald=bald,
        glasses=bool(rng.random() < 0.12),
        beard=beard,
    )
