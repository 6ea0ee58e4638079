"""The synthetic dataset: faces rendered from action units, determined by a seed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from fer_core.plugin import EXPRESSIONS, FERDataset, FerError, make_fingerprint
from numpy.typing import NDArray
from pydantic import Field

from fer_datasets.specs.synthetic import SPEC
from fer_datasets.synthetic_identity import Identity, sample_identity
from fer_datasets.synthetic_scene import Drawn, draw_picture
from fer_datasets.synthetic_units import sample_action

VERSION = 3
"""Incremented with every change of the rendering, so that packs and results of versions are not mixed."""

SIZES = range(32, 513)
"""Supported sides in pixels."""

_VAL_SHARE, _TEST_SHARE = 0.1, 0.2
_PERSON, _PICTURE, _SPLIT = range(3)


def create(
    root: Path | None,
    *,
    size: Annotated[int, Field(ge=32, le=512)] = 64,
    samples: Annotated[int, Field(ge=21, le=10**7)] = 6300,
    classes: Annotated[int, Field(ge=7, le=8)] = 7,
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0,
) -> Synthetic:
    """Factory of the dataset.

    Args:
        root: Ignored.
        size: As for `Synthetic`.
        samples: As for `Synthetic`.
        classes: As for `Synthetic`.
        seed: As for `Synthetic`.

    Raises:
        FerError: A value is out of range.
    """
    del root
    return Synthetic(size=size, samples=samples, classes=classes, seed=seed)


class Synthetic(FERDataset):
    """Rendered faces: person i shows every expression once, and is in one split only.

    Args:
        size: Side of an image in pixels, 32 to 512.
        samples: Number of images; at least three persons are needed, one for each split.
        classes: 7, or 8 with contempt.
        seed: Another seed gives other persons and images.

    Raises:
        FerError: A value is not an integer or out of range.
    """

    name = SPEC.name

    def __init__(self, size: int, samples: int, classes: int, seed: int) -> None:
        _require("classes", classes, range(7, 9))
        _require("size", size, SIZES)
        _require("samples", samples, range(3 * classes, 10**7 + 1))
        _require("seed", seed, range(2**63))
        self.size, self.seed = size, seed
        self.classes: tuple[str, ...] = EXPRESSIONS[:classes]
        self._last: tuple[int, Identity] | None = None
        self.table = self._make_table(samples)

    def read(self, row: int) -> NDArray[np.uint8]:
        """Draws the face of one row, uint8 RGB [size, size, 3]; deterministic."""
        return self.draw(row).pixels

    def draw(self, row: int) -> Drawn:
        """Draws the face of one row, and says where it is."""
        if not 0 <= row < len(self.table):
            raise FerError(f"dataset synthetic: there is no row {row}; use 0 to {len(self.table) - 1}")
        person, label = divmod(row, len(self.classes))
        rng = self._random(_PICTURE, row)
        return draw_picture(rng, self._person(person), sample_action(rng, self.classes[label]), self.size)

    def fingerprint(self) -> str:
        """sha256 over the sorted (id, label, sha256 of what determines the drawing: version, options and id)."""
        hashes = (hashlib.sha256(source.encode()).hexdigest() for source in self.table["source"])
        return make_fingerprint(self.table["id"], self.table["label"], hashes)

    def _person(self, index: int) -> Identity:
        """The person, cached because consecutive rows mostly show the same one."""
        last = self._last
        if last is None or last[0] != index:
            last = self._last = (index, sample_identity(self._random(_PERSON, index)))
        return last[1]

    def _random(self, stream: int, index: int) -> np.random.Generator:
        """Random numbers that depend on version, seed, stream and index only, not on earlier draws."""
        counter = np.array([0, stream, index, len(self.classes)], dtype=np.uint64)
        key = np.array([self.seed, VERSION], dtype=np.uint64)
        return np.random.Generator(np.random.Philox(counter=counter, key=key))

    def _make_table(self, samples: int) -> pd.DataFrame:
        count = len(self.classes)
        persons, labels = np.divmod(np.arange(samples), count)
        whole = samples // count
        # An incomplete last person is in the training split, so that every split has every class.
        split_of = np.full(persons[-1] + 1, "train", dtype=object)
        order = np.argsort(self._random(_SPLIT, 0).random(whole))
        val, test = max(1, round(_VAL_SHARE * whole)), max(1, round(_TEST_SHARE * whole))
        split_of[order[:val]] = "val"
        split_of[order[val : val + test]] = "test"
        groups = [f"subject-{person:04d}" for person in persons]
        ids = [f"{group}-{self.classes[label]}" for group, label in zip(groups, labels, strict=True)]
        origin = f"synthetic-v{VERSION}/classes-{count}/seed-{self.seed}/{self.size}px"
        return pd.DataFrame(
            {
                "id": ids,
                "label": labels.astype(np.int64),
                "split": split_of[persons],
                "source": [f"{origin}/{key}" for key in ids],
                "group": groups,
            }
        )


def _require(option: str, value: Any, allowed: range) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
        raise FerError(
            f"dataset synthetic: {option} is {value!r}, but must be an integer from {allowed.start} to"
            f" {allowed.stop - 1}; change the option {option}"
        )
