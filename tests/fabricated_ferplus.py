"""FERPlus's and FER2013's files around made-up faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from fer_datasets.specs.fer2013 import CLASSES as EMOTIONS
from fer_datasets.specs.ferplus import CLASSES
from PIL import Image

SPLITS = {"train": 64, "valid": 24, "test": 32}
UNKNOWN = 4
"""Of so many images FER2013's file knows one not."""


def write_ferplus(root: Path, *, misleading: int | None = None) -> None:
    """Images with votes, most of them in FER2013's files, too; neutral faces are dark, happy ones bright below.

    Args:
        root: Folder to write.
        misleading: Of so many faces one looks as one of the other expression; None: none does.
    """
    votes, pixels = ["Usage,Image name," + ",".join((*CLASSES, "unknown", "NF"))], ["emotion,pixels,Usage"]
    rng = np.random.default_rng(0)
    for usage, (split, count) in zip(("Training", "PublicTest", "PrivateTest"), SPLITS.items(), strict=True):
        folder = root / f"FER2013{split.capitalize()}"
        folder.mkdir(parents=True)
        lines = []
        for number in range(count):
            label, name = number % 2, f"{split}{number:03d}.png"
            looks = label if misleading is None or number % misleading else 1 - label
            image = rng.integers(0, 80, (48, 48), dtype=np.uint8)
            image[24:] += np.uint8(150 * looks)
            Image.fromarray(image).save(folder / name)
            shares = [1 + 7 * (place == label) if place < 2 else 0 for place in range(10)]
            lines.append(f'{name},"(0, 0, 48, 48)",{",".join(map(str, shares))}')
            if number % UNKNOWN:
                votes.append(f"{usage},{name},{','.join(map(str, shares))}")
                own = EMOTIONS.index(("neutral", "happiness")[label])
                emotion = own if number % 5 else number // 5 % len(EMOTIONS)
                pixels.append(f"{emotion},{' '.join(map(str, image.ravel().tolist()))},{usage}")
        (folder / "label.csv").write_text("\n".join(lines) + "\n")
    (root / "fer2013new.csv").write_text("\n".join(votes) + "\n")
    (root / "fer2013.csv").write_text("\n".join(pixels) + "\n")
