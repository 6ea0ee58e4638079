"""Extra targets of a dataset: the columns `target_NAME` of its table, beside the label."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fer_core.errors import FerError
from fer_core.records import MAX_CLASSES, MAX_NAME
from fer_core.types import TARGET

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from fer_core.types import FERDataset

SHARE = ":"
"""Between the name of a target and that of a class, in the columns of a distribution."""


@dataclass(frozen=True)
class Target:
    """An extra target of every row of a table.

    Attributes:
        classes: Class names of classes and of distributions; empty for numbers.
        values: Classes are int64 [rows], indices into `classes`, -1 where the target is missing; numbers are
            float32 [rows], NaN where it is missing; a distribution is float32 [rows, classes] with the sum 1, NaN
            where it is missing.
    """

    classes: tuple[str, ...]
    values: NDArray[Any]

    def take(self, rows: NDArray[np.int64]) -> Target:
        """The target of some rows."""
        return Target(self.classes, self.values[rows])

    @property
    def kind(self) -> str:
        """`classes`, `numbers` or `a distribution`."""
        return "numbers" if not self.classes else "classes" if self.values.ndim == 1 else "a distribution"

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which rows have it, [rows]."""
        import numpy as np

        if self.values.dtype.kind == "i":
            return np.asarray(self.values >= 0)
        return np.asarray(~np.isnan(self.values if self.values.ndim == 1 else self.values[:, 0]))

    @property
    def labels(self) -> NDArray[np.int64]:
        """Index of the class, of a distribution that of the largest share; -1 where the target is missing."""
        import numpy as np

        if self.values.ndim == 1:
            return self.values.astype(np.int64)
        return np.where(self.present, np.nan_to_num(self.values).argmax(axis=1), -1)


@dataclass(frozen=True)
class SoftTargets:
    """What trained models predict for the training images.

    Attributes:
        values: Probabilities float32 [rows, K] for every row of a table, NaN where it is not trained on.
        sha256: Of the files they come from.
    """

    values: NDArray[np.float32]
    sha256: tuple[str, ...]

    @property
    def digest(self) -> str:
        """sha256 over the values."""
        return hashlib.sha256(self.values.tobytes()).hexdigest()


def targets_of(dataset: FERDataset) -> dict[str, Target]:
    """The extra targets of a dataset by name, sorted.

    Raises:
        FerError: A column `target_NAME` is neither categorical nor numbers, or a value cannot be a target.
    """
    found: dict[str, Target] = {}
    for name, columns in sorted(target_columns(dataset.table.columns).items()):
        what = f"{dataset.name}: the target {name}"
        if not re.fullmatch(r"\w[\w-]*", name):
            raise FerError(
                f"{dataset.name}: {TARGET + name!r:.80} does not name a target: use letters, digits, '_' and '-'"
            )
        if columns == [TARGET + name]:
            found[name] = _column(dataset.table[TARGET + name], what)
        elif TARGET + name in columns:
            raise FerError(f"{what} has the column {TARGET}{name} and others for its classes: keep one form")
        else:
            found[name] = _distribution(dataset.table[columns], what)
    return found


def target_columns(columns: Iterable[Hashable]) -> dict[str, list[str]]:
    """Name of each extra target -> its columns, one, or one for each class of a distribution."""
    found: dict[str, list[str]] = {}
    for column in columns:
        if isinstance(column, str) and column.startswith(TARGET):
            found.setdefault(column.removeprefix(TARGET).partition(SHARE)[0], []).append(column)
    return found


def digest(targets: Mapping[str, Target]) -> str | None:
    """sha256 over names, classes and values; None where there are no targets."""
    if not targets:
        return None
    found = hashlib.sha256()
    for name, target in targets.items():
        found.update(repr((name, target.classes, target.values.shape)).encode())
        found.update(target.values.tobytes())
    return found.hexdigest()


def unite(parts: Sequence[FERDataset]) -> pd.DataFrame:
    """The columns of extra targets of several datasets, one after another, matched by name.

    A target that a part lacks is missing in all of its rows. Classes are matched by name; in a distribution those
    that a part lacks have no share there.

    Raises:
        FerError: A target has classes in one part, and numbers or shares in another.
    """
    import numpy as np
    import pandas as pd

    own = [targets_of(part) for part in parts]
    columns: dict[str, NDArray[Any] | pd.Categorical[Any]] = {}
    for name in sorted({name for each in own for name in each}):
        having = {part.name: each[name] for part, each in zip(parts, own, strict=True) if name in each}
        kinds = {dataset: target.kind for dataset, target in having.items()}
        if len(set(kinds.values())) > 1:
            forms = ", ".join(f"{kind} in {dataset}" for dataset, kind in kinds.items())
            raise FerError(f"the target {name} is not of one kind ({forms}): rename the column of one dataset")
        classes = tuple(dict.fromkeys(each for target in having.values() for each in target.classes))
        kind = next(iter(kinds.values()))
        values = np.concatenate(
            [
                _values(each.get(name), kind, classes, len(part.table))
                for part, each in zip(parts, own, strict=True)
            ]
        )
        if kind == "a distribution":
            columns |= {f"{TARGET}{name}{SHARE}{each}": values[:, k] for k, each in enumerate(classes)}
        else:
            columns[TARGET + name] = (
                values if kind == "numbers" else pd.Categorical.from_codes(values, pd.Index(classes))
            )
    return pd.DataFrame(columns, index=range(sum(len(part.table) for part in parts)))


def _values(target: Target | None, kind: str, classes: tuple[str, ...], rows: int) -> NDArray[Any]:
    """The values of a target, or missing ones, in a set of classes that may be larger than its own."""
    import numpy as np

    places = [classes.index(name) for name in target.classes] if target else []
    if kind == "numbers":
        return target.values if target else np.full(rows, np.nan, np.float32)
    if kind == "classes":
        return np.array([*places, -1])[target.values] if target else np.full(rows, -1)
    values = np.full((rows, len(classes)), np.nan, np.float32)
    if target is not None:
        values[target.present] = 0
        values[:, places] = target.values
    return values


def _column(column: pd.Series, what: str) -> Target:
    """A target of one column: classes or numbers."""
    import numpy as np
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        classes = tuple(column.cat.categories)
        _check_classes(classes, what)
        return Target(classes, column.cat.codes.to_numpy(np.int64))
    if not pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
        raise FerError(
            f"{what} has the type {column.dtype}: make the column numbers, or classes by pandas.Categorical"
        )
    values = column.to_numpy(np.float32, na_value=np.nan)
    if np.isinf(values).any():
        raise FerError(
            f"{what} is infinite in row {int(np.isinf(values).argmax())}: give a number, or leave it out"
        )
    return Target((), values)


def _distribution(columns: pd.DataFrame, what: str) -> Target:
    """A target of a column for each class, with shares or votes."""
    import numpy as np
    import pandas as pd

    classes = tuple(str(column).partition(SHARE)[2] for column in columns)
    _check_classes(classes, what)
    if not all(pd.api.types.is_numeric_dtype(kind) for kind in columns.dtypes):
        raise FerError(f"{what} is a distribution, and not all of its columns are numbers: give shares or votes")
    shares = columns.to_numpy(np.float64, na_value=np.nan)
    totals, absent = shares.sum(axis=1), np.isnan(shares)
    bad = ~absent.all(axis=1) & ~((shares >= 0).all(axis=1) & (totals > 0) & np.isfinite(totals))
    if bad.any():
        raise FerError(
            f"{what} is not a distribution in row {int(bad.argmax())}: give shares of at least 0, one of "
            "them above 0, or none at all"
        )
    with np.errstate(invalid="ignore"):
        return Target(classes, (shares / totals[:, None]).astype(np.float32))


def _check_classes(classes: tuple[object, ...], what: str) -> None:
    named = all(isinstance(name, str) and name.isprintable() and 0 < len(name) <= MAX_NAME for name in classes)
    if not named or not 2 <= len(classes) <= MAX_CLASSES or len(set(classes)) < len(classes):
        raise FerError(f"{what} has the classes {list(classes)!r:.80}: give 2 to {MAX_CLASSES:,} different names")
