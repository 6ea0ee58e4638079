"""Which facial action units each expression uses, and how strongly one face shows them.

Action units and their combinations follow the Facial Action Coding System (Ekman, Friesen and Hager, FACS
Investigator's Guide, 2002, table of emotion-related action units); the intensities are this generator's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 27)
"""The action units that are drawn."""

EXPRESSION_UNITS: Mapping[str, Mapping[int, tuple[float, float, float]]] = {
    "neutral": {},
    "happiness": {6: (1.0, 0.7, 1.0), 12: (1.0, 0.8, 1.0), 25: (0.7, 0.5, 1.0), 26: (0.3, 0.2, 0.7)},
    "sadness": {1: (1.0, 0.8, 1.0), 4: (0.7, 0.4, 0.6), 15: (1.0, 0.7, 1.0), 17: (0.6, 0.5, 0.9)},
    "surprise": {
        1: (1.0, 0.8, 1.0),
        2: (1.0, 0.8, 1.0),
        5: (1.0, 0.6, 1.0),
        25: (1.0, 0.7, 1.0),
        26: (1.0, 0.8, 1.0),
        27: (0.5, 0.3, 1.0),
    },
    "fear": {
        1: (1.0, 0.8, 1.0),
        2: (0.7, 0.4, 0.7),
        4: (1.0, 0.7, 0.9),
        5: (1.0, 0.8, 1.0),
        7: (0.4, 0.2, 0.5),
        20: (1.0, 0.8, 1.0),
        25: (1.0, 0.7, 1.0),
        26: (0.4, 0.2, 0.5),
    },
    "disgust": {
        4: (0.5, 0.2, 0.6),
        6: (0.4, 0.2, 0.5),
        7: (0.5, 0.2, 0.6),
        9: (1.0, 0.8, 1.0),
        10: (1.0, 0.7, 1.0),
        15: (0.4, 0.2, 0.5),
        17: (0.5, 0.3, 0.8),
        25: (0.4, 0.2, 0.6),
    },
    "anger": {
        4: (1.0, 0.9, 1.0),
        5: (0.6, 0.4, 0.7),
        7: (1.0, 0.6, 0.9),
        17: (0.4, 0.2, 0.6),
        23: (1.0, 0.8, 1.0),
        25: (0.25, 0.3, 0.6),
    },
    "contempt": {12: (1.0, 0.5, 0.9), 14: (1.0, 0.6, 1.0)},
}
"""Per expression and unit: the probability that it takes part, its lowest and its highest intensity."""


@dataclass(frozen=True)
class Action:
    """What a face does: intensities 0..1 of the action units, and how far each side of the mouth takes part.

    Attributes:
        level: Intensity of every unit in `UNITS`.
        left: Factor of the corner units (12, 14, 15) on the left of the picture.
        right: The same on the right.
    """

    level: Mapping[int, float]
    left: float
    right: float

    def __getitem__(self, unit: int) -> float:
        return self.level[unit]


def sample_action(rng: np.random.Generator, expression: str) -> Action:
    """Draws one performance of an expression.

    Every unit of the expression takes part with its probability; one overall strength makes the face weak or
    strong; any unit may twitch a little on its own, so a neutral face is not always the same either.
    """
    strength = rng.uniform(0.9, 1.0)
    twitch = rng.random(len(UNITS))
    takes_part = rng.random(len(UNITS))
    amount = rng.uniform(0.5, 1.0, len(UNITS))
    level = {}
    planned = EXPRESSION_UNITS[expression]
    for i, unit in enumerate(UNITS):
        chance, low, high = planned.get(unit, (0.0, 0.0, 0.0))
        value = strength * (low + (high - low) * amount[i]) if takes_part[i] < chance else 0.0
        spontaneous = 0.15 * (twitch[i] - 0.9) / 0.1 if twitch[i] > 0.9 and unit < 26 else 0.0
        level[unit] = float(max(value, spontaneous))
    sides = 1.0 - 0.25 * rng.random(2)
    if expression == "contempt":
        sides[int(rng.random() < 0.5)] = 0.05
    return Action(level, float(sides[0]), float(sides[1]))
