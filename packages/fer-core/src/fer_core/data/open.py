"""From the name of a dataset to the dataset."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from fer_core.components import Options, Origin, build, check
from fer_core.data.classes import select_classes
from fer_core.data.table import check_table
from fer_core.data.union import UnionSpec, find_dataset, part_options, part_roots, unite
from fer_core.errors import FerError
from fer_core.plugins import load_plugins
from fer_core.returned import in_words, wrong
from fer_core.types import FERDataset, bare, data_root

if TYPE_CHECKING:
    from fer_core.types import ClassTable, DatasetSpec

logger = logging.getLogger(__name__)


def open_dataset(
    name: str | DatasetSpec, root: Path | None, options: Options, classes: ClassTable | None = None
) -> tuple[DatasetSpec, FERDataset]:
    """Open a dataset and check its table.

    Args:
        name: Name or alias of an installed dataset, or several as `a+b`, or a spec.
        root: Its folder; None for `$FER_DATA/NAME`, else `./data/NAME`. Of a union, `a=DIR1,b=DIR2`.
        options: Of the dataset's factory. Of a union, `{a: {...}, b: {...}}`.
        classes: The classes to keep, in this order, or a mapping from their names to new names or None.

    Raises:
        FerError: Unknown name or option, no folder, data that the dataset cannot read, or classes it lacks.
    """
    spec = find_dataset(name) if isinstance(name, str) else name
    if isinstance(spec, UnionSpec):
        roots, settings = part_roots(spec, root), part_options(spec, options)
        parts = [open_dataset(part.name, roots[part.name], settings[part.name])[1] for part in spec.parts]
        return spec, unite(spec, parts, classes)
    dataset = _open_one(name, spec, root, options)
    return spec, dataset if classes is None else select_classes(dataset, classes)


def check_dataset_options(name: str, options: Options, origin: Origin | None = None) -> None:
    """Raise FerError for options that the dataset, or a part of a union, does not take."""
    spec = find_dataset(name)
    parts = part_options(spec, options) if isinstance(spec, UnionSpec) else {spec.name: options}
    for part, own in parts.items():
        check("datasets", part, own, origin=origin)


def _open_one(name: str | DatasetSpec, spec: DatasetSpec, root: Path | None, options: Options) -> FERDataset:
    component = spec.name if isinstance(name, str) else spec
    check("datasets", component, options)
    folder = data_root(bare(spec.name), root, os.environ).expanduser()
    logger.debug(f"folder   {folder}, of {spec.name}")
    if spec.needs_root and not folder.exists():
        raise FerError(
            f"{spec.name}: {folder} does not exist; get the data from {spec.homepage} and give its folder with "
            "--data DIR",
            details=_layouts(spec),
        )
    try:
        dataset: FERDataset = build("datasets", component, options, folder)
    except OSError as error:
        raise FerError(
            f"{spec.name}: cannot read {folder}: {error}; check the folder given with --data",
            details=_layouts(spec),
        ) from error
    _check_type(dataset, spec)
    if spec.name != bare(spec.name):  # another distribution has a dataset of that name
        dataset.name = spec.name
    import pandas as pd

    if not isinstance(dataset.table, pd.DataFrame):
        raise wrong(dataset, "the factory", f"a table that is {in_words(dataset.table)}", "a pandas DataFrame")
    check_table(dataset)
    dataset.alignment = dataset.alignment or spec.alignment
    return dataset


def _check_type(dataset: object, spec: DatasetSpec) -> None:
    """Reject what a plugin's factory returned unless it is a dataset."""
    found = type(dataset).__name__
    if isinstance(dataset, FERDataset):
        lacking = [name for name in ("name", "classes", "table") if not hasattr(dataset, name)]
        if not lacking:
            return
        found += f" without {' and '.join(lacking)}"
    homes = {entry.plugin.distribution for entry in load_plugins().claims("datasets", spec.name)}
    raise FerError(
        f"the factory of the dataset {spec.name}{''.join(f' of {home}' for home in homes)} returned {found}, "
        "expected a subclass of FERDataset with name, classes and table: correct or update that plugin"
    )


def _layouts(spec: DatasetSpec) -> str:
    """The folder layouts that are understood, as trees."""
    return "\n".join(f"Layout '{name}':\n{tree.rstrip()}" for name, tree in spec.layouts.items())
