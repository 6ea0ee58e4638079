"""`samples.csv`: what a method has learned of every training sample, such as corrected labels."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


def write_samples(
    classes: Sequence[str], ids: Sequence[str], labels: NDArray[np.int64], values: Mapping[str, Tensor]
) -> str:
    """The table as CSV: `id`, `label` and a column for each name.

    Args:
        classes: Their names.
        ids: Of the training samples [N].
        labels: Those of the dataset, indices into `classes` [N].
        values: By name, numbers or truth values [N].
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "label", *values])
    # Nine digits represent every float32 exactly.
    columns = [
        [f"{number:.9g}" if isinstance(number, float) else int(number) for number in column.tolist()]
        for column in values.values()
    ]
    writer.writerows(zip(ids, (classes[label] for label in labels), *columns, strict=True))
    return text.getvalue()
