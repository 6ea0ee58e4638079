"""The table of predictions: `id`, `label`, `predicted`, a probability per class, and `group` where it is known."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer_core.errors import FerError
from fer_core.records import found, read_bytes
from fer_core.types import HEAD, TARGET

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

GROUP = "group"
"""Column of tables and of stored predictions: faces of one subject, or film, which are alike."""
ADVICE = "evaluate the run again"
ROUNDING = 1e-3
"""Tolerance of the sum of the probabilities of a face."""


def write_predictions(
    classes: Sequence[str],
    ids: Sequence[str],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    groups: Sequence[str],
) -> str:
    """The table as CSV.

    Args:
        classes: The C names.
        ids: Of the samples [N].
        labels: Indices into `classes` [N].
        probabilities: [N, C].
        groups: [N], or none where no group is known.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_columns(classes, grouped=bool(groups)))
    best = probabilities.argmax(axis=1)
    ends = [[group] for group in groups] or [[]] * len(ids)
    for sample, label, predicted, row, end in zip(ids, labels, best, probabilities, ends, strict=True):
        # Nine digits represent every float32 exactly.
        scores = [f"{p:.9g}" for p in row]
        writer.writerow([sample, classes[label], classes[predicted], *scores, *end])
    return text.getvalue()


def read_predictions(path: Path, classes: Sequence[str], advice: str = ADVICE) -> pd.DataFrame:
    """A table of predictions; `label` and `predicted` are class names.

    Args:
        path: The file.
        classes: The classes that its columns must have, in this order.
        advice: What to do where it is not such a table.

    Raises:
        FerError: The file is unreadable, or it is not a table of predictions of these classes.
    """
    import pandas as pd

    content = read_bytes(path, advice)
    scores = [f"p_{name}" for name in classes]
    kinds = dict.fromkeys(("id", "label", "predicted", GROUP), str) | dict.fromkeys(scores, np.float64)
    try:
        head = next(csv.reader(io.StringIO(content.partition(b"\n")[0].decode("utf-8"))), [])
        _check_columns(path, head, _columns(classes, grouped=GROUP in head[-1:]), advice)
        table = pd.read_csv(io.BytesIO(content), dtype=kinds, keep_default_na=False, index_col=False)
    except (ValueError, csv.Error) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise FerError(f"{path} is not a table of predictions ({reason}): {advice}") from error
    _check(path, table, tuple(classes), table[scores].to_numpy(), advice)
    return table


def read_head(
    path: Path, head: str, classes: Sequence[str], advice: str = ADVICE
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """What a head predicts for the faces that have its target, of a table `heads-PART.csv`.

    Args:
        path: The file.
        head: The name of the target.
        classes: The K classes of the head.
        advice: What to do where it is not such a table.

    Returns:
        Probabilities [N, K], and labels [N] as positions in `classes`.

    Raises:
        FerError: The file is unreadable, or has other columns or values.
    """
    import pandas as pd

    scores = [f"{HEAD}{head}:{name}" for name in classes]
    kinds = {TARGET + head: str} | dict.fromkeys(scores, np.float64)
    content = read_bytes(path, advice)
    try:
        table = pd.read_csv(io.BytesIO(content), usecols=list(kinds), dtype=kinds, keep_default_na=False)
    except ValueError as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise FerError(f"{path} is not a table of the head {head} ({reason}): {advice}") from error
    table = table[table[TARGET + head] != ""]
    labels = table[TARGET + head].map({name: number for number, name in enumerate(classes)})
    if labels.isna().any():
        unknown = table[TARGET + head][labels.isna()].iloc[0]
        raise FerError(f"{path}: {TARGET}{head} is {found(unknown)}, expected one of the head's classes: {advice}")
    return np.asarray(table[scores], dtype=np.float64), np.asarray(labels, dtype=np.int64)


def classes_of(path: Path, advice: str) -> tuple[str, ...]:
    """The classes that the columns of a table of predictions name.

    Raises:
        FerError: The file is unreadable, or its columns name none; `advice` says what to do.
    """
    head = read_bytes(path, advice).partition(b"\n")[0].decode("utf-8", "replace")
    try:
        columns = next(csv.reader([head]), [])
    except csv.Error:  # of a file that is not text
        columns = []
    classes = tuple(name.removeprefix("p_") for name in columns if name.startswith("p_"))
    if not classes:
        raise FerError(f"{path} is not a table of predictions (it has no column p_CLASS): {advice}")
    return classes


def label_numbers(table: pd.DataFrame, classes: Sequence[str]) -> NDArray[np.int64]:
    """True classes as positions in `classes`, [N]."""
    numbers = {name: number for number, name in enumerate(classes)}
    return np.asarray(table["label"].map(numbers), dtype=np.int64)


def probabilities_of(table: pd.DataFrame, classes: Sequence[str]) -> NDArray[np.float64]:
    """[N, C] in the order of `classes`."""
    return table[[f"p_{name}" for name in classes]].to_numpy(dtype=np.float64)


def _columns(classes: Sequence[str], *, grouped: bool) -> list[str]:
    return ["id", "label", "predicted", *(f"p_{name}" for name in classes), *([GROUP] if grouped else [])]


def _check_columns(path: Path, head: list[str], expected: list[str], advice: str) -> None:
    for number, (name, wanted) in enumerate(zip_longest(head, expected), 1):
        if name != wanted:
            what = "no column" if wanted is None else found(wanted)
            raise FerError(f"{path}: column {number} is {found(name)}, expected {what}: {advice}")


def _check(
    path: Path, table: pd.DataFrame, classes: tuple[str, ...], scores: NDArray[np.float64], advice: str
) -> None:
    if not len(table):
        raise FerError(f"{path} has no row: {advice}")
    if not table["id"].is_unique:
        twice = table["id"][table["id"].duplicated()].iloc[0]
        raise FerError(f"{path} has the id {found(twice)} twice: {advice}")
    names = np.array(classes, dtype=object)
    known = table["label"].isin(classes).to_numpy()
    wrong = {
        "label": (~known, "one of the run's classes"),
        "probabilities": (
            ~(((scores >= 0) & (scores <= 1 + ROUNDING)).all(axis=1) & (abs(scores.sum(axis=1) - 1) <= ROUNDING)),
            "numbers from 0 to 1 that add up to 1",
        ),
        "predicted": (
            table["predicted"].to_numpy() != names[scores.argmax(axis=1)],
            "the class with the highest probability",
        ),
    }
    for field, (faulty, expected) in wrong.items():
        if faulty.any():
            row = int(faulty.argmax())
            value = scores[row].tolist() if field == "probabilities" else table[field].iloc[row]
            raise FerError(f"{path}, row {row + 1}: {field} is {found(value)}, expected {expected}: {advice}")
