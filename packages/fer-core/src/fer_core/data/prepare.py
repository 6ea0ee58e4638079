"""A configured dataset: opened, divided, and read in batches."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer_core import distributed
from fer_core.cache import cache_root
from fer_core.components import build
from fer_core.data.classes import describe_classes
from fer_core.data.loader import Loader
from fer_core.data.open import open_dataset
from fer_core.data.packs.open import open_pack
from fer_core.data.random import derive_seed
from fer_core.data.splits import make_split, thin
from fer_core.data.table import votes_of
from fer_core.data.targets import targets_of
from fer_core.data.transforms import build_pipeline
from fer_core.data.union import UnitedDataset
from fer_core.errors import FerError
from fer_core.preprocessing import Preprocessing
from fer_core.returned import in_words, wrong

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fer_core.config import Config
    from fer_core.data.splits import Split
    from fer_core.data.targets import SoftTargets, Target
    from fer_core.engine import Device
    from fer_core.types import DatasetSpec, FERDataset, Pack, Role

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreparedData:
    """An opened dataset, divided and ready to be read; with soft targets, where a training has some."""

    spec: DatasetSpec
    dataset: FERDataset
    split: Split
    fingerprint: str
    pack: Pack
    soft: SoftTargets | None = None

    @cached_property
    def targets(self) -> dict[str, Target]:
        """The extra targets of every row of the table."""
        return targets_of(self.dataset)

    def rows(self, role: Role) -> NDArray[np.int64]:
        """Row numbers of the role train, val or test."""
        rows: NDArray[np.int64] = getattr(self.split, role)
        return rows

    def counts(self, role: Role) -> dict[str, int]:
        """Samples of each class."""
        labels = self.dataset.table["label"].to_numpy()[self.rows(role)]
        numbers = np.bincount(labels, minlength=len(self.dataset.classes))
        return {name: int(number) for name, number in zip(self.dataset.classes, numbers, strict=True)}


def open_configured(config: Config) -> tuple[DatasetSpec, FERDataset]:
    """The configured dataset, opened. Raises FerError as `open_dataset`."""
    section = config.data
    root = None if section.root is None else Path(section.root)
    return open_dataset(section.name, root, section.options, section.classes)


def divide(config: Config, spec: DatasetSpec, dataset: FERDataset) -> Split:
    """The configured split of a dataset, its training part whole. Raises FerError as `make_split`."""
    section, select = config.data, config.train.select
    return make_split(
        dataset, spec.splits, section.split, holdout=section.holdout, seed=section.split_seed, select=select
    )


def prepare_data(config: Config) -> PreparedData:
    """Open the configured dataset, divide it and read its pixels (once; then from a pack).

    Raises:
        FerError: Anything wrong with the data, in one line.
    """
    section = config.data
    spec, dataset = open_configured(config)
    if len(dataset.classes) < 2:
        raise FerError(
            f"{spec.name} has only the class {dataset.classes[0]}, so there is nothing to classify: add faces "
            "of another class, or look at what --data and data.classes leave out"
        )
    if dataset.layout:
        logger.info(f"layout   {dataset.layout}")
    for line in describe_classes(dataset):
        logger.info(f"classes  {line}")
    split = divide(config, spec, dataset)
    whole = len(split.train)
    split = thin(dataset, split, section.fraction, section.split_seed)
    if split.fraction < 1:
        logger.warning(
            f"data.fraction is {split.fraction:g}: {len(split.train):,} of {whole:,} training samples are used, "
            "so the result is not one on the whole dataset"
        )
    if split.protocol != section.split:
        why = f"{spec.name} has no split for every role"
        logger.info(f"split    {section.split} is resolved to {split.protocol}, since {why}")
    if isinstance(dataset, UnitedDataset):
        shares = {role: dataset.shares(getattr(split, role)) for role in ("train", "val", "test")}
        for role, counts in shares.items():
            logger.info(f"{role:<8} {', '.join(f'{count:,} of {name}' for name, count in counts.items())}")
        if section.alignment is None and len(set(dataset.alignments.values())) > 1:
            cuts = ", ".join(f"{name}: {cut or 'unknown'}" for name, cut in dataset.alignments.items())
            logger.warning(f"faces are not all cut in the same way ({cuts}), so the weights record no alignment")
    return PreparedData(
        spec, dataset, split, _fingerprint(dataset), open_pack(dataset, cache_root(), progress=True)
    )


def make_loader(
    data: PreparedData,
    rows: NDArray[np.int64],
    config: Config,
    device: Device,
    *,
    training: bool,
    number: tuple[int, ...] = (),
) -> Loader:
    """A loader over `rows`, with the training transforms and sampler or the evaluation ones.

    Loaders of another `number` change images differently.
    """
    section = config.data
    preprocessing = Preprocessing.from_config(section)
    labels = data.dataset.table["label"].to_numpy()
    sampler = None
    if training:
        chosen, seed = section.sampler, derive_seed(config.train.seed, 1)
        sampler = build("samplers", chosen.name, chosen.options, labels[rows], seed)
    return Loader(
        data.pack,
        rows,
        labels,
        pipeline=build_pipeline(preprocessing, section.train_transforms if training else None),
        batch_size=section.batch_size if training else section.eval_batch_size or section.batch_size,
        sampler=sampler,
        seed=derive_seed(config.train.seed, 2, *number),
        workers=section.workers,
        device=device,
        votes=votes_of(data.dataset),
        targets={name: target.values for name, target in data.targets.items()},
        soft_targets=data.soft.values if training and data.soft else None,
        drop_last=section.drop_last,
        draw_labels=training and data.dataset.draw_labels,
        process=(distributed.rank(), distributed.size()),
        parts=config.train.accumulate if training else 1,
    )


def _fingerprint(dataset: FERDataset) -> str:
    """Identity of a dataset. Raises FerError unless it is a sha256."""
    found = dataset.fingerprint()
    if not isinstance(found, str) or not re.fullmatch("[0-9a-f]{64}", found):
        raise wrong(dataset, "fingerprint", in_words(found), "a sha256, as make_fingerprint gives it")
    return found
