"""Analysis of stored predictions: most confident errors, confused classes, slices, label issues.

Every function takes a table of predictions as runs store it: `id`, `label` and `predicted` (class names), one
column `p_<class>` for each class, and `group` where subjects or films are known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_core.data.attributes import ATTRIBUTE, UNKNOWN, attribute_columns
from fer_core.reports.compare import groups_of
from fer_core.runs.predictions import GROUP, label_numbers, probabilities_of
from fer_core.statistics import bootstrap_interval, find_label_errors, proportion_interval

if TYPE_CHECKING:
    import pandas as pd

SMALL = 30
"""Number of faces below which a slice is marked as small: its interval is too wide to act upon."""
FEWEST_GROUPS = 5
"""Number of groups below which faces are resampled instead."""
MOST_VALUES = 500
"""Number of distinct values above which a column identifies faces rather than kinds of faces."""
CLASS = "class"
"""Name of the slices by true class."""


def find_mistakes(table: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Every wrong prediction, the most confident first.

    Returns:
        `id`, `label`, `predicted`, `confidence` (probability of the predicted class) and `p_label` (of the true
        one).
    """
    import pandas as pd

    scores, labels = probabilities_of(table, classes), label_numbers(table, classes)
    best = scores.max(axis=1)
    own = scores[np.arange(len(table)), labels]
    found = pd.DataFrame(
        {
            "id": table["id"],
            "label": table["label"],
            "predicted": table["predicted"],
            "confidence": best,
            "p_label": own,
        }
    )
    wrong = found[found["label"] != found["predicted"]]
    return wrong.sort_values(["confidence", "id"], ascending=[False, True], ignore_index=True)


def confused_pairs(table: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Pairs of confused classes, the most frequent first.

    Returns:
        `label`, `predicted`, `count`, `share` (of the faces with that label), its 95 % interval `low` and `high`
        (Wilson), and `confidence` (mean probability of the predicted class over these faces).
    """
    import pandas as pd

    mistakes = find_mistakes(table, classes)
    faces = table["label"].value_counts()
    lines: list[dict[str, Any]] = []
    for pair, found in mistakes.groupby(["label", "predicted"], sort=True):
        label, predicted = str(pair[0]), str(pair[1])
        count, total = len(found), int(faces[label])
        low, high = proportion_interval(count, total)
        lines.append(
            {
                "label": label,
                "predicted": predicted,
                "count": count,
                "share": count / total,
                "low": low,
                "high": high,
                "confidence": float(found["confidence"].mean()),
            }
        )
    columns = ["label", "predicted", "count", "share", "low", "high", "confidence"]
    made = pd.DataFrame(lines, columns=columns)
    by, ascending = ["count", "share", "label", "predicted"], [False, False, True, True]
    return made.sort_values(by, ascending=ascending, ignore_index=True)


def find_label_issues(table: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Faces whose given label is probably wrong, the most suspicious first (`find_label_errors`).

    The predictions must be out of sample: of a model that did not train on these faces.

    Returns:
        `id`, `label` (as given), `likely`, `p_label`, `p_likely` and `margin` (their difference, negative).
    """
    import pandas as pd

    scores = probabilities_of(table, classes)
    found = find_label_errors(scores / scores.sum(axis=1, keepdims=True), label_numbers(table, classes))
    names = np.asarray(classes, dtype=object)
    return pd.DataFrame(
        {
            "id": table["id"].to_numpy()[found.places],
            "label": table["label"].to_numpy()[found.places],
            "likely": names[found.likely],
            "p_label": found.self_confidence,
            "p_likely": found.self_confidence - found.margin,
            "margin": found.margin,
        }
    )


def slice_columns(dataset_table: pd.DataFrame, group_key: str | None) -> dict[str, pd.Series]:
    """Split, group and attributes of a dataset's faces, under the names that readers see.

    Left out are those in which no face differs, or more than `MOST_VALUES` do.

    Args:
        dataset_table: The rows of the faces.
        group_key: What `group` means there, such as `subject`.
    """
    import pandas as pd

    found = {}
    for column in ("split", GROUP, *attribute_columns(dataset_table)):
        values = dataset_table.get(column, pd.Series(dtype=object))
        if 1 < values.nunique() <= MOST_VALUES:
            name = group_key or GROUP if column == GROUP else column.removeprefix(ATTRIBUTE)
            found[name] = values.where(values != "", UNKNOWN)
    return found


def measure_slices(
    table: pd.DataFrame, columns: Mapping[str, pd.Series], *, draws: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Accuracy in every part that a column makes, the true class first.

    The 95 % interval is a bootstrap over groups where the slice has `FEWEST_GROUPS` or more, else over faces;
    Wilson's where all faces or none are right, since a bootstrap then has no width.

    Args:
        table: Predictions of N faces.
        columns: Name -> value of each of these faces, [N] each, in the order of `table`.
        draws: Of the bootstrap.
        seed: Equal seeds give equal intervals.

    Returns:
        `column`, `value`, `count`, `accuracy`, `low`, `high`, `interval` (`groups`, `faces` or `wilson`),
        `mean_class_accuracy` (over the classes that the slice has) and `small` (fewer than `SMALL` faces), sorted
        by column, then by accuracy.
    """
    import pandas as pd

    for name, values in columns.items():
        if len(values) != len(table):
            raise ValueError(f"{len(values)} values of {name} do not fit {len(table)} predictions")
    divided = {CLASS: table["label"], **columns}
    lines = [
        {"column": name, "value": str(value), **_measure(table.iloc[places], draws, seed)}
        for name, values in divided.items()
        for value, places in pd.Series(values.to_numpy()).groupby(values.to_numpy()).indices.items()
    ]
    made = pd.DataFrame(lines)
    order = {name: number for number, name in enumerate(divided)}
    return made.sort_values(
        ["column", "accuracy", "value"], key=lambda of: of.map(order) if of.name == "column" else of
    ).reset_index(drop=True)


def _measure(part: pd.DataFrame, draws: int, seed: int) -> dict[str, Any]:
    right = (part["label"] == part["predicted"]).to_numpy()
    count, hits = len(part), int(right.sum())
    groups = groups_of(part)
    if hits in (0, count):
        kind, (low, high) = "wilson", proportion_interval(hits, count)
    else:
        if groups is not None and len(set(groups.tolist())) < FEWEST_GROUPS:
            groups = None
        kind = "faces" if groups is None else "groups"
        every = np.ones(count, dtype=bool)
        low, high = bootstrap_interval(right, every, "accuracy", groups=groups, draws=draws, seed=seed)
    labels = part["label"].to_numpy()
    return {
        "count": count,
        "accuracy": hits / count,
        "low": low,
        "high": high,
        "interval": kind,
        "mean_class_accuracy": float(np.mean([right[labels == name].mean() for name in np.unique(labels)])),
        "small": count < SMALL,
    }
