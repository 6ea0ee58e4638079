"""Label files of re-packaged copies: `image_name`, `label` and the name of the `emotion`.

Nobody states in which order such a file counts, so the class is taken from the name, and the number only has to
agree with itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from fer_core.plugin import FerError
from numpy.typing import NDArray

from fer_datasets.files import safe_relative
from fer_datasets.labels import SYNONYMS
from fer_datasets.tables import read_csv, require_columns


def read_named_csv(
    path: Path, classes: Sequence[str], columns: Sequence[str] = ()
) -> tuple[list[str], NDArray[np.int64], dict[str, list[str]]]:
    """Read such a file.

    Args:
        path: Comma-separated, with a header.
        classes: Class names in the dataset's order.
        columns: Further columns that must be there.

    Returns:
        Images as the file names them, int64 [N] labels as indices into `classes`, and all cells by column.

    Raises:
        FerError: Missing column, no rows, unsafe path, unknown emotion, or one number with two emotions.
    """
    cells = {name: [value.strip() for value in values] for name, values in read_csv(path).items()}
    require_columns(cells, ("image_name", "emotion", *columns), path)
    emotions = cells["emotion"]
    if not emotions:
        raise FerError(f"{path} lists no images: restore the label file")
    labels = np.empty(len(emotions), dtype=np.int64)
    meaning: dict[str, int] = {}
    for row, emotion in enumerate(emotions):
        name = SYNONYMS.get(emotion.lower())
        if name not in classes:
            known = ", ".join(classes)
            raise FerError(
                f"{path}, row {row + 1}: the emotion {emotion!r} is not one of {known}: correct the row"
            )
        labels[row] = classes.index(name)
        number = cells["label"][row] if "label" in cells else str(labels[row])
        if meaning.setdefault(number, labels[row]) != labels[row]:
            both = f"{classes[meaning[number]]} and {name}"
            raise FerError(f"{path}, row {row + 1}: the label {number} stands for {both}: restore the file")
    names = [safe_relative(name, f"{path}, row {row + 1}") for row, name in enumerate(cells["image_name"])]
    return names, labels, cells
