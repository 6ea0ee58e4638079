"""Names of expressions as people write them, and the canonical ones of `fer_core.types.EXPRESSIONS`."""

from __future__ import annotations

SYNONYMS = {
    "neutral": "neutral",
    "happy": "happiness",
    "happiness": "happiness",
    "sad": "sadness",
    "sadness": "sadness",
    "surprise": "surprise",
    "surprised": "surprise",
    "fear": "fear",
    "fearful": "fear",
    "afraid": "fear",
    "disgust": "disgust",
    "disgusted": "disgust",
    "angry": "anger",
    "anger": "anger",
    "contempt": "contempt",
}
"""Lower-case spelling to canonical name."""


def canonical(names: list[str]) -> list[str]:
    """Canonical names where every one of `names` is a spelling of an expression, else `names` as they are.

    All or none: in a set with a class of its own (`bored`), `happy` stays what its author called it.
    """
    known = [SYNONYMS.get(name.strip().lower()) for name in names]
    found = [name for name in known if name is not None]
    return found if len(found) == len(names) else list(names)
