"""Scenes with faces at known places, for what is behind a detector to be tested on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from fer_core.data.images import as_rgb
from fer_core.errors import FerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

WIDTH, HEIGHT = 640, 480
"""Pixels of a scene."""
SMALLEST, LARGEST = 64, 160
"""Longer side of a face in a scene."""
MOST = WIDTH // LARGEST
"""Faces that have room side by side."""


def make_scene(
    rng: np.random.Generator, faces: Sequence[NDArray[np.uint8]]
) -> tuple[NDArray[np.uint8], list[tuple[int, int, int, int]]]:
    """Paste faces side by side into a background of soft tones, each at a random size and place.

    Args:
        rng: What is random.
        faces: uint8 RGB [H, W, 3] or grey [H, W, 1], of any sizes; four at most. Their shapes are kept.

    Returns:
        The scene, uint8 RGB [480, 640, 3], and left, top, right and bottom edge of each face, whose longer side is
        64 to 160 pixels.

    Raises:
        FerError: There are more than four faces.
    """
    if len(faces) > MOST:
        raise FerError(f"a scene has room for {MOST} faces, not for {len(faces)}: make several scenes")
    tones = Image.fromarray(rng.integers(40, 216, (6, 8, 3), dtype=np.uint8))
    scene = tones.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    strip = WIDTH // max(len(faces), 1)
    places = []
    for number, pixels in enumerate(faces):
        face = Image.fromarray(as_rgb(pixels))
        scale = rng.integers(SMALLEST, LARGEST + 1) / max(face.size)
        width, height = (max(1, round(side * scale)) for side in face.size)
        left = number * strip + int(rng.integers(0, strip - width + 1))
        top = int(rng.integers(0, HEIGHT - height + 1))
        scene.paste(face.resize((width, height), Image.Resampling.BICUBIC), (left, top))
        places.append((left, top, left + width, top + height))
    return np.array(scene), places
