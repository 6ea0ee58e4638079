"""The faces of a diagnosis, with their predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer_core.errors import FerError
from fer_core.evaluation.evaluate import Evaluation
from fer_core.files import as_stored
from fer_core.runs.predictions import GROUP

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from fer_core.runs.reading import RunRecord
    from fer_core.types import FERDataset, Pack

TEST = "test"


@dataclass(frozen=True)
class Faces:
    """Predictions beside the dataset that they are of.

    Attributes:
        dataset: Opened.
        pack: Its images.
        table: Predictions as runs store them.
        classes: Of the predictions, in their order.
        group_key: What `group` means in this dataset, if known.
    """

    dataset: FERDataset
    pack: Pack
    table: pd.DataFrame
    classes: tuple[str, ...]
    group_key: str | None = None

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Id, as predictions store it -> row of the dataset's table."""
        ids = [as_stored(name) for name in self.dataset.table["id"]]
        return dict(zip(ids, range(len(ids)), strict=True))

    def rows(self, ids: Sequence[str] | pd.Series, where: str = "") -> NDArray[np.int64]:
        """Rows of the dataset's table.

        Args:
            ids: As predictions store them.
            where: Begins the message of an error.

        Raises:
            FerError: The dataset has no such face.
        """
        absent = [name for name in ids if name not in self.row_of]
        if absent:
            raise FerError(
                f"{where}{self.dataset.name} has no face '{absent[0]}', of which predictions are stored: give the "
                "data and the options that the runs were made with"
            )
        return np.array([self.row_of[name] for name in ids], dtype=np.int64)


def predictions_of(found: Evaluation) -> pd.DataFrame:
    """An evaluation as the table that runs store."""
    import pandas as pd

    names = np.asarray(found.classes, dtype=object)
    table = pd.DataFrame(
        {
            "id": [as_stored(name) for name in found.ids],
            "label": names[found.labels],
            "predicted": names[found.probabilities.argmax(axis=1)],
            **{f"p_{name}": found.probabilities[:, at] for at, name in enumerate(found.classes)},
        }
    )
    return table.assign(**{GROUP: found.groups}) if found.groups else table


def pool_predictions(runs: Sequence[RunRecord], place: Path) -> pd.DataFrame:
    """Predictions of the test parts of all runs, one line a face: the mean of its probabilities.

    No run has trained on its test part, so over the folds of `kfold` every face gets probabilities of networks
    that have not seen it.

    Args:
        runs: Of one dataset.
        place: Where they were found, for messages.

    Raises:
        FerError: No stored predictions, or runs of several versions of the dataset or several sets of classes.
    """
    import pandas as pd

    if len({(run.fingerprint, frozenset(run.classes)) for run in runs}) > 1:
        raise FerError(
            f"the runs in {place} are of several versions or class sets of {runs[0].dataset}, whose faces "
            "are not the same: name a folder with runs of one"
        )
    tables = [run.predictions for run in runs if run.predictions is not None]
    if not tables:
        raise FerError(f"the runs in {place} have no predictions-{TEST}.csv: evaluate them again")
    classes = runs[0].classes
    scores = [f"p_{name}" for name in classes]
    kept = ["id", "label", *([GROUP] if all(GROUP in table.columns for table in tables) else []), *scores]
    together = pd.concat([table[kept] for table in tables], ignore_index=True)
    by_face = together.groupby("id", sort=True)
    pooled = by_face[[name for name in kept if name not in ("id", *scores)]].first()
    means = by_face[scores].mean()
    best = np.asarray(classes, dtype=object)[means.to_numpy().argmax(axis=1)]
    return pd.concat([pooled.assign(predicted=best), means], axis=1).reset_index()


def read_faces(pack: Pack, rows: Sequence[int] | NDArray[np.int64]) -> list[NDArray[np.uint8]]:
    """Faces as they are stored, one by one, uint8 [H, W, C]."""
    return [np.asarray(pack.images(np.array([row]))[0]) for row in rows]
