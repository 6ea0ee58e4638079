"""Common spellings of expressions, and the canonical names of `fer_core.plugin.EXPRESSIONS`."""

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
    """Canonical names if all `names` are spellings of expressions, otherwise `names` unchanged.

    All or none: in a dataset with another class (`bored`), `happy` is not renamed either.
    """
    known = [SYNONYMS.get(name.strip().lower()) for name in names]
    found = [name for name in known if name is not None]
    return found if len(found) == len(names) else list(names)
