"""Datasets for a training loop of your own: what `torch.utils.data.DataLoader` takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from fer_core.cache import cache_root
from fer_core.config.schema import Data, Holdout, Seed, Side, SplitSeed, TransformItem
from fer_core.data.loader import draw_labels, normalise_votes
from fer_core.data.packs.open import open_pack
from fer_core.data.random import SampleRandom, derive_seed
from fer_core.data.splits import make_split
from fer_core.data.table import votes_of
from fer_core.data.transforms import Pipeline, build_pipeline
from fer_core.data.transforms.pipeline import as_picture
from fer_core.errors import FerError
from fer_core.options import checked
from fer_core.preprocessing import Preprocessing
from fer_core.types import ROLES

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from fer_core.types import DatasetSpec, FERDataset, Pack


_NO_TORCH_DATASET = (
    "an opened dataset is not a torch dataset, since it holds all parts and images of any size "
    '(len(dataset.table) of them): write DataLoader(dataset.as_torch("train", train=True))'
)
Transform = Callable[[Image.Image], Tensor]
"""From a PIL RGB image to the input of a model."""


@dataclass(frozen=True, repr=False)
class OpenedDataset:
    """A dataset whose files were found, as `fer_core.open_dataset` gives it.

    Attributes:
        spec: What its plugin declares.
        dataset: Its table and the reader of its pixels.
    """

    spec: DatasetSpec
    dataset: FERDataset

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; a label is an index into them."""
        return self.dataset.classes

    @property
    def table(self) -> pd.DataFrame:
        """One row per sample: `id`, `label`, `split` (the authors' name), `source`, perhaps `group` and votes."""
        return self.dataset.table

    def read(self, row: int) -> NDArray[np.uint8]:
        """Pixels of one row of the table, uint8 RGB [H, W, 3] or grey [H, W, 1]."""
        return self.dataset.read(row)

    @checked
    def as_torch(
        self,
        split: str,
        train: bool = False,
        *,
        preprocessing: Preprocessing | None = None,
        input_size: Side | None = None,
        transform: Sequence[TransformItem] | Transform | None = None,
        protocol: str = "official",
        holdout: Holdout = 0.1,
        split_seed: SplitSeed = 0,
        seed: Seed = 0,
    ) -> TorchDataset:
        """One part of the dataset, for a `DataLoader`.

        The parts are those of a run: where the authors give no validation part, `val` is a seeded, stratified
        hold-out of the training part, and `train` is the rest. Images are decoded once, into the cache.

        Args:
            split: `train`, `val`, `test` or `all`.
            train: Apply the training transforms, and draw labels from votes where the dataset does so.
            preprocessing: What the model reads, such as `load_model(...).preprocessing`; by default RGB,
                normalised with ImageNet's mean and standard deviation.
            input_size: Height and width of the images in pixels where `preprocessing` is not given; 224.
            transform: Transforms as in a configuration, `["resize", {"horizontal_flip": {"p": 0.5}},
                "normalize"]`; or a function of a PIL RGB image, such as one of torchvision. By default
                those of `preprocessing`, and of a configuration's `data.train_transforms` where `train`.
            protocol: As `data.split` of a configuration: `official`, `kfold:5:0`...
            holdout: As `data.holdout`.
            split_seed: As `data.split_seed`.
            seed: Of the augmentation, as `train.seed`.

        Raises:
            FerError: An unknown part, one without samples, or transforms that do not fit.
        """
        if preprocessing is not None and input_size is not None:
            raise FerError("preprocessing has an input_size of its own: leave input_size out")
        rows, digest = self._rows(split, protocol, holdout, split_seed)
        section = Data(name=self.spec.name, input_size=input_size or 224)
        contract = preprocessing or Preprocessing.from_config(section)
        if not callable(transform):
            items = section.train_transforms if transform is None and train else transform
            transform = build_pipeline(contract, items, "transform")
        pack = open_pack(self.dataset, cache_root(), progress=True)
        return TorchDataset(self.dataset, pack, rows, transform, train=train, seed=seed, digest=digest)

    def _rows(self, split: str, protocol: str, holdout: float, seed: int) -> tuple[NDArray[np.int64], str]:
        if split == "all":
            return np.arange(len(self.table)), ""
        if split not in ROLES:
            raise FerError(f"there is no split {split!r}: use {', '.join(ROLES)} or all")
        divided = make_split(
            self.dataset, self.spec.splits, protocol, holdout=holdout, seed=seed, select="best:val"
        )
        rows: NDArray[np.int64] = getattr(divided, split)
        if not len(rows):
            raise FerError(f"{self.spec.name} has no {split} part under {divided.protocol}: use another split")
        return rows, divided.digest

    def __len__(self) -> int:
        """Raises FerError: this is where a `DataLoader` begins, which takes what `as_torch` returns."""
        raise FerError(_NO_TORCH_DATASET)

    def __getitem__(self, row: int) -> object:
        """Raises FerError, as `len` does."""
        raise FerError(_NO_TORCH_DATASET)

    def __repr__(self) -> str:
        return f"<dataset {self.spec.name}: {len(self.table):,} samples, {len(self.classes)} classes>"


class TorchDataset(Dataset["tuple[Tensor, int]"]):
    """A map-style dataset. An item is an image, float32 [3, H, W] as the model reads it, and its label.

    The augmentation of an item is derived from the seed, the sample and how often it was visited before, and
    equals that of a run with this seed in that epoch, whatever the number of workers. `set_epoch` sets the count,
    to repeat or resume an epoch. Made by `OpenedDataset.as_torch`.

    Attributes:
        classes: Class names; a label is an index into them.
        labels: Labels of the items, int64 [n].
        rows: Row of the table of each item, int64 [n].
        class_counts: Samples of each class.
        transform: What makes an item of an image.
        digest: sha256 over the ids of all parts, as in the records of a run; empty for `all`.
    """

    def __init__(
        self,
        dataset: FERDataset,
        pack: Pack,
        rows: NDArray[np.int64],
        transform: Pipeline | Transform,
        *,
        train: bool,
        seed: int,
        digest: str,
    ) -> None:
        self.name, self.classes, self.rows, self.digest = dataset.name, dataset.classes, rows, digest
        labels = dataset.table["label"].to_numpy(dtype=np.int64)[rows]
        self.labels = torch.from_numpy(labels.copy())
        self.class_counts = tuple(np.bincount(labels, minlength=len(self.classes)).tolist())
        self.transform = transform
        self._pack, self._seed = pack, derive_seed(seed, 2)  # the loader of a run has this seed
        self._visits = torch.zeros(len(rows), dtype=torch.int64) if train else None
        if self._visits is not None:  # one count for all processes of a DataLoader
            self._visits.share_memory_()  # type: ignore[no-untyped-call]
        self._distributions = None
        if train and dataset.draw_labels:
            votes = votes_of(dataset)
            assert votes is not None  # they are what it draws from
            self._distributions = normalise_votes(votes[rows], rows)

    def set_epoch(self, epoch: int) -> None:
        """Let the next visit of every item be that of this epoch, counted from 0."""
        if self._visits is not None:
            self._visits.fill_(epoch)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Image and label of an item; raises FerError where the image cannot be read."""
        row = self.rows[[index]]  # IndexError past the end, as sequences have it
        visit = self._visit(index)
        pixels = self._pack.images(row)[0]
        if isinstance(self.transform, Pipeline):
            image = self.transform(pixels, SampleRandom(self._seed, visit, row))
        else:
            image = self.transform(as_picture(pixels))
        if self._distributions is None:
            return image, int(self.labels[index])
        return image, int(draw_labels(self._distributions[[index]], self._seed, visit, row)[0])

    def _visit(self, index: int) -> int:
        """Number of earlier visits of the item."""
        if self._visits is None:
            return 0
        visit = int(self._visits[index])
        self._visits[index] = visit + 1
        return visit

    def __repr__(self) -> str:
        return f"<{self.name}: {len(self):,} items, {len(self.classes)} classes>"
