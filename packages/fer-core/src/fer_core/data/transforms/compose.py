"""Transforms by name, and those that hold others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from fer_core.components import Options, Origin, build
from fer_core.config.schema import TransformItem
from fer_core.data.random import SampleRandom
from fer_core.data.transforms.base import (
    Picture,
    Plan,
    Planned,
    Shape,
    Transform,
    Views,
    chain,
    check_number,
    chosen_rows,
    plan_all,
    put_rows,
)
from fer_core.data.transforms.normalize import Normalize
from fer_core.errors import FerError
from fer_core.preprocessing import Preprocessing


def _parse(item: object) -> tuple[str, Options]:
    """Name and options of one item of the list."""
    if isinstance(item, str):
        return item, {}
    if isinstance(item, Mapping) and len(item) == 1:
        name, options = next(iter(item.items()))
        if isinstance(name, str) and isinstance(options, Mapping):
            return name, options
    raise FerError(f"transform {item!r} is not understood: write `name` or `name: {{option: value}}`")


def build_transform(
    item: TransformItem, preprocessing: Preprocessing, section: str = "transforms", origin: Origin | None = None
) -> Transform | Views:
    """One transform of the registry. FerError for an unknown name, or options that it does not take."""
    name, options = _parse(item)
    made: Transform | Views = build("transforms", name, options, preprocessing, section=section, origin=origin)
    return made


def _build_inner(name: str, items: object, preprocessing: Preprocessing) -> list[Transform]:
    """The transforms that `name` holds, which must keep the size and the kind of an image."""
    if not isinstance(items, Sequence) or isinstance(items, str) or not items:
        raise FerError(f"{name}: transforms is {items!r}: give a list of one transform or more")
    inner = []
    for item in items:
        transform = build_transform(item, preprocessing, f"{name}.transforms")
        if isinstance(transform, Views | Normalize) or transform.sizes:
            raise FerError(f"{name} cannot hold {_parse(item)[0]}, which every image needs: move it out")
        inner.append(transform)
    return inner


class _Holder(Planned):
    """Transforms inside a transform."""

    def __init__(self, transforms: list[Transform]) -> None:
        self.transforms = transforms
        self.raw = all(transform.raw for transform in transforms)
        self.pixels = any(transform.pixels for transform in transforms)
        self.many = any(transform.many for transform in transforms)


class RandomApply(_Holder):
    """Apply a list of transforms together with probability `p`.

    Args:
        preprocessing: Handed on.
        transforms: As in the pipeline; all must keep the size and kind of the image.
        p: Probability.
    """

    def __init__(self, preprocessing: Preprocessing, transforms: Sequence[TransformItem], p: float = 0.5) -> None:
        self.p = check_number("random_apply: p", p, 0, 1)
        super().__init__(_build_inner("random_apply", transforms, preprocessing))

    def image(self, image: Picture, rng: SampleRandom) -> Picture:
        """Apply all to one image, or none."""
        chosen = len(chosen_rows(rng, self.p)) > 0
        inner = rng.branch()
        if chosen:
            for transform in self.transforms:
                image = transform.image(image, inner)
        return image

    def plan(self, rng: SampleRandom, shape: Shape) -> Plan:
        """Apply all to the chosen samples, in place."""
        rows = chosen_rows(rng, self.p)
        return _plan_parts([(rows, self.transforms)], rng.branch(), shape)


class OneOf(_Holder):
    """Apply one transform of a list, each equally likely, with probability `p`.

    Args:
        preprocessing: Handed on.
        transforms: As in the pipeline; all must keep the size and kind of the image.
        p: Probability that one of them is applied.
    """

    def __init__(self, preprocessing: Preprocessing, transforms: Sequence[TransformItem], p: float = 0.5) -> None:
        self.p = check_number("one_of: p", p, 0, 1)
        super().__init__(_build_inner("one_of", transforms, preprocessing))

    def _choose(self, rng: SampleRandom) -> Tensor:
        """Draws the decision and the choice: number of each sample's transform, -1 for none, int64 [N]."""
        happens = rng.uniform()[:, 0] < self.p
        return torch.where(happens, rng.integers(len(self.transforms))[:, 0], -1)

    def image(self, image: Picture, rng: SampleRandom) -> Picture:
        """Apply one to an image, or none."""
        choice = int(self._choose(rng)[0])
        inner = rng.branch()
        return image if choice < 0 else self.transforms[choice].image(image, inner)

    def plan(self, rng: SampleRandom, shape: Shape) -> Plan:
        """Apply each to the samples that chose it, in place."""
        choice = self._choose(rng)
        parts = [
            (torch.nonzero(choice == number)[:, 0], [transform])
            for number, transform in enumerate(self.transforms)
        ]
        return _plan_parts(parts, rng.branch(), shape)


def _plan_parts(parts: Sequence[tuple[Tensor, list[Transform]]], rng: SampleRandom, shape: Shape) -> Plan:
    """Some rows of a batch by some transforms each; the samples' streams in `rng` are theirs alone."""
    parts = [(rows, transforms) for rows, transforms in parts if len(rows)]
    plans = []
    for rows, transforms in parts:
        inner = plan_all(transforms, rng.select(rows), shape)
        plans.append(Plan(partial(_change_rows, inner), shape, [rows, *inner.values]))
    return chain(plans, shape)


def _change_rows(inner: Plan, images: Tensor, values: Sequence[Tensor]) -> Tensor:
    rows, *others = values
    return put_rows(images, rows, inner.work(images[rows], others))
