"""Reader of FER2013 from `fer2013.csv` or `icml_face_data.csv`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from fer_core.errors import FerError, nearest
from fer_core.types import FERDataset

from fer_datasets.files import layout_error, require_folder
from fer_datasets.pixel_rows import PixelRows, open_pixel_file
from fer_datasets.specs.fer2013 import CLASSES, SPEC
from fer_datasets.tables import integers, make_table

FILES = ("fer2013.csv", "fer2013/fer2013.csv", "icml_face_data.csv")


def load(root: Path) -> FERDataset:
    """Read FER2013. Pixels are located, not parsed: `read` parses one row.

    Args:
        root: Folder that holds one of `FILES`; the first that is found is read.

    Raises:
        FerError: No such file, or a damaged one.
    """
    require_folder(SPEC, root)
    found = [name for name in FILES if (root / name).is_file()]
    if not found:
        raise layout_error(SPEC, root, "neither fer2013.csv nor icml_face_data.csv is there")
    path = root / found[0]
    pixels = open_pixel_file(path, ("emotion", "Usage"))
    usages = pixels.cells["Usage"]
    if not usages:
        raise FerError(f"{path} has a header but no rows: restore the file")
    for row, usage in enumerate(usages):
        if usage not in SPEC.splits:
            known = nearest(usage, SPEC.splits)
            raise FerError(f"{path}, row {row + 1}: there is no Usage {usage!r}: {known}")
    labels = integers(pixels.cells["emotion"], 0, len(CLASSES) - 1, "the emotion", path)
    count = len(usages)
    table = make_table(
        [f"row-{row:05d}" for row in range(count)],
        labels,
        usages,
        [f"{found[0]}#{row}" for row in range(count)],
    )
    return PixelRows(SPEC.name, CLASSES, pixels, np.arange(count), table)
