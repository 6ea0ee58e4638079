"""Opening a dataset for trained weights."""

from __future__ import annotations

import logging
import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer_core import registry
from fer_core.config import load_config
from fer_core.data.classes import describe_classes
from fer_core.data.open import check_dataset_options, open_dataset
from fer_core.data.splits import make_split, thin
from fer_core.data.union import UnionSpec, find_dataset, part_names, part_roots, recorded_dataset
from fer_core.errors import FerError, within
from fer_core.runs.folder import CONFIG
from fer_core.types import bare, data_root, split_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fer_core.components import Options
    from fer_core.data.splits import Split
    from fer_core.provenance import Component
    from fer_core.provenance import Split as SplitRecord
    from fer_core.types import DatasetSpec, FERDataset
    from fer_core.weights.header import Header

logger = logging.getLogger(__name__)


def open_for(
    checkpoint: Path, header: Header, dataset: str | None, root: Path | None, options: Options | None
) -> tuple[DatasetSpec, FERDataset, bool]:
    """Open a dataset for a checkpoint, and whether it is the one that the checkpoint was trained on.

    Then its folder, options and classes are those of the training, unless others are given.

    Args:
        checkpoint: The weight file; its run lies beside it.
        header: Of the weight file.
        dataset: Name; None for the one that the checkpoint was trained on.
        root: Its folder.
        options: Of the dataset.

    Raises:
        FerError: No name is given, and the checkpoint does not say what it was trained on; or what `open_dataset`
            raises.
    """
    trained = _trained_on(header)
    if not dataset and not trained:
        raise FerError(
            f"{checkpoint} does not say what it was trained on: name a dataset, as in fer-run evaluate "
            f"{checkpoint} DATASET (fer-run list datasets shows them)"
        )
    wanted = find_dataset(dataset or trained)
    own = header.dataset if trained == wanted.name else None
    chosen = dict(options or {})
    if own is not None and options is None:
        chosen = own.options
        with within(str(checkpoint)):
            check_dataset_options(wanted.name, chosen)
    if own is not None and root is None:
        root = _recorded_root(checkpoint, wanted)
    spec, opened = open_dataset(dataset or trained, root, chosen, None if own is None else own.class_table)
    for line in describe_classes(opened):
        logger.info(f"classes  {line}")
    if own is None:
        _warn_of_overlap(wanted, header)
    return spec, opened, own is not None


def _recorded_root(checkpoint: Path, spec: DatasetSpec) -> Path | None:
    """The folder that the run of a weight file read its data from; None if it is unknown or no longer exists."""
    path = checkpoint.parent / CONFIG
    recorded = load_config(path).data.root if path.is_file() else None
    if recorded is None:
        return None
    root = Path(recorded)
    parts = part_roots(spec, root).values() if isinstance(spec, UnionSpec) else [root]
    if not all(part is None or part.expanduser().exists() for part in parts):
        logger.info(f"data     {root}, which the run was trained on, no longer exists")
        return None
    logger.info(f"data     {root}, as in the run")
    return root


def choose_rows(
    checkpoint: Path, spec: DatasetSpec, dataset: FERDataset, trained: Header | None, role: str
) -> NDArray[np.int64]:
    """Rows of a part of a dataset: of the training's own split where there is one, else of the official one.

    Args:
        checkpoint: The weight file.
        spec: Of the dataset.
        dataset: As opened.
        trained: The header of the weight file, if the dataset is the one it was trained on.
        role: `train`, `val`, `test` or `all`.

    Raises:
        FerError: The part does not exist or has no faces, or the split's protocol is unknown.
    """
    if role == "all":
        return np.arange(len(dataset.table))
    if role not in ("train", "val", "test"):
        raise FerError(f"there is no split {role}: use train, val, test or all")
    divided = _divide(checkpoint, spec, dataset, trained)
    rows: NDArray[np.int64] = getattr(divided, role)
    if len(rows) == 0:
        raise FerError(f"{spec.name} has no {role} part under {divided.protocol}: use another --split")
    return rows


def trained_faces(
    checkpoint: Path, header: Header, own: FERDataset | None, root: Path | None
) -> tuple[FERDataset, NDArray[np.int64]]:
    """The dataset that a checkpoint was trained on, as in the training, and the rows of its train and val part.

    Args:
        checkpoint: The weight file.
        header: Of the weight file.
        own: The dataset of that name, if it is open already, with whatever options.
        root: The folder that was given for `own`.

    Raises:
        FerError: It is unknown what the checkpoint was trained on, or the data are not there.
    """
    if header.dataset is None:
        raise FerError(
            f"{checkpoint} does not say what it was trained on, so --by copies has no training faces to compare "
            "with: leave it out"
        )
    spec = find_dataset(_trained_on(header))
    if own is None:
        root = _recorded_root(checkpoint, spec)
        if root is None and (absent := " and ".join(_absent_parts(spec))):
            raise FerError(
                f"--by copies compares with the training data of {checkpoint}, but {absent} is not at hand: set "
                f"FER_DATA to the folder that holds {absent}"
            )
    if own is None or own.fingerprint() != header.dataset.fingerprint:
        _, own, _ = open_for(checkpoint, header, None, root, None)
    divided = _divide(checkpoint, spec, own, header)
    return own, np.concatenate([divided.train, divided.val])


def _absent_parts(spec: DatasetSpec) -> list[str]:
    """The datasets that are not in the folder where they are expected."""
    parts = spec.parts if isinstance(spec, UnionSpec) else (spec,)
    names = [bare(part.name) for part in parts if part.needs_root]
    return [name for name in names if not data_root(name, None, os.environ).expanduser().exists()]


def _divide(checkpoint: Path, spec: DatasetSpec, dataset: FERDataset, trained: Header | None) -> Split:
    own = trained.split if trained else None
    with within(str(checkpoint)) if own else nullcontext():
        divided = make_split(
            dataset,
            spec.splits,
            _recorded_protocol(own, trained.components) if own and trained else "official",
            holdout=own.holdout if own else 0.1,
            seed=own.seed if own else 0,
            select="last",
        )
    if own is not None:
        divided = thin(dataset, divided, own.fraction, own.seed)
    if own is not None and own.digest != divided.digest:
        logger.warning("the dataset differs from the one in training, so its parts may overlap with training data")
    return divided


def _recorded_protocol(own: SplitRecord, components: Sequence[Component]) -> str:
    """The protocol of a training as it is known here. Raises FerError if the plugin that brought it is missing."""
    name, rest = split_name(own.protocol)
    return registry.recorded("splits", name, components) + rest


def is_trained_on(header: Header, spec: DatasetSpec, part: str) -> bool | None:
    """Whether a part of a dataset holds training faces; None if the training data was not recorded."""
    if header.dataset is None:
        return None
    return part in ("train", "all") and bool(set(part_names(_trained_on(header))) & set(part_names(spec.name)))


def _trained_on(header: Header) -> str:
    """Name of the training dataset as it is known here; empty if it was not recorded."""
    return "" if header.dataset is None else recorded_dataset(header.dataset.name, header.components)


def _warn_of_overlap(spec: DatasetSpec, header: Header) -> None:
    """A part of a union keeps its official test faces only where the training was official, too."""
    trained = part_names(_trained_on(header))
    protocol = header.split.protocol if header.split else "official"
    common = [name for name in part_names(spec.name) if name in trained]
    if common and not protocol.startswith("official"):
        logger.warning(
            f"{', '.join(common)} was in the training data, split by {protocol}, so the model may have seen "
            "some of its faces"
        )
