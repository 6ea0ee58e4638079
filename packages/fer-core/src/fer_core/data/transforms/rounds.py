"""The operations of augmentation policies on a whole batch, in few calls, as a GPU takes them.

Operations of one kind are done together, whatever their strengths, in a round. A sample's operations keep their
order, while those of different samples have none: rounds are arranged so that there are few of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import groupby, zip_longest

import torch
from torch import Tensor

from fer_core.data.transforms import tones
from fer_core.data.transforms.base import Plan, Shape, Work, chain
from fer_core.data.transforms.operations import OPERATIONS, Style
from fer_core.data.transforms.resample import resample, warp_values

CALLS = {"warp": 27, "blend": 19, "stretch": 22, "hue": 76, "table": 4}
"""How many operators a round of each kind calls at most."""
Member = tuple[int, str, float, Style]
"""A sample's number, and its operation with strength and style."""


class Draw:
    """The operation of each of N samples in one step: name, strength, style."""

    def __init__(self, names: list[str], strengths: Tensor, styles: list[Style]) -> None:
        self.names, self.strengths, self.styles = names, strengths, styles


def plan_rounds(draws: Sequence[Draw], shape: Shape) -> Plan:
    """The steps of a policy, in place."""
    return chain([_plan_round(kind, members, shape) for kind, members in arrange(draws)], shape)


def arrange(draws: Sequence[Draw]) -> list[tuple[str, list[Member]]]:
    """Rounds, a kind and its members each: the cheapest of a few ways to order them.

    One way does the first operations of all samples, kind by kind, then the second ones and so on, so that the
    calls of operators are bounded whatever was drawn.
    """
    steps: dict[int, list[Member]] = {}
    for draw in draws:
        for row, (name, strength) in enumerate(zip(draw.names, draw.strengths.tolist(), strict=True)):
            if name:
                steps.setdefault(row, []).append((row, name, strength, draw.styles[row]))
    waiting = list(steps.values())
    ways = [_step_by_step(waiting), *(_most_awaited(waiting, weight) for weight in (0, 1, 2, 3))]
    return min(ways, key=lambda rounds: sum(CALLS[kind] for kind, _ in rounds))


def _step_by_step(waiting: list[list[Member]]) -> list[tuple[str, list[Member]]]:
    rounds = []
    for step in zip_longest(*waiting):
        members = [member for member in step if member]
        kinds = {_kind(member) for member in members}
        order = sorted(kinds - ({"table"} if "stretch" in kinds else set()))
        rounds += [(kind, [member for member in members if _fits(member, kind)]) for kind in order]
    return rounds


def _most_awaited(waiting: list[list[Member]], weight: int) -> list[tuple[str, list[Member]]]:
    """Next comes the kind that the most samples wait for; those with many steps left count more, by `weight`."""
    rounds = []
    while waiting:
        heads: Counter[str] = Counter()
        for steps in waiting:
            heads[_kind(steps[0])] += len(steps) ** weight
        ((kind, _),) = heads.most_common(1)
        rounds.append((kind, [steps[0] for steps in waiting if _fits(steps[0], kind)]))
        left = [steps[_fits(steps[0], kind) :] for steps in waiting]
        waiting = [steps for steps in left if steps]
    return rounds


def _kind(member: Member) -> str:
    return OPERATIONS[member[1]].kind


def _fits(member: Member, kind: str) -> bool:
    """Whether a round of this kind does the operation; one that looks up tables looks up given ones, too."""
    return _kind(member) == kind or (kind == "stretch" and _kind(member) == "table")


def _plan_round(kind: str, members: list[Member], shape: Shape) -> Plan:
    members = sorted(members, key=lambda member: (_kind(member), member[1]))
    values = [torch.tensor([row for row, _, _, _ in members])]
    for own, group in groupby(members, key=_kind):
        values += _values(own, list(group), (shape.height, shape.width))
    return Plan(partial(_change, kind), shape, values)


def _values(kind: str, members: list[Member], size: tuple[int, int]) -> list[Tensor]:
    """What the operations of one kind need of the host."""
    if kind == "stretch":
        return tones.stretch_values([name for _, name, _, _ in members])
    parts = []
    for name, same in groupby(members, key=lambda member: member[1]):
        strengths = torch.tensor([strength for _, _, strength, _ in same], dtype=torch.float64)
        parts.append(OPERATIONS[name].values(strengths, size))
    values = torch.cat(parts)
    if kind == "warp":
        styles = [style for _, _, _, style in members]
        return warp_values(values, [style.method for style in styles], size, styles[0].fill)
    return tones.blend_values(values) if kind == "blend" else [values]


def _change(kind: str, images: Tensor, values: Sequence[Tensor]) -> Tensor:
    rows, *own = values
    images[rows] = WORK[kind](images[rows], own)
    return images


def _stretch(images: Tensor, values: Sequence[Tensor]) -> Tensor:
    """The first images by tables that depend on their pixels, the others by the tables that come last."""
    bins, *own = values[:4]
    planes = images.flatten(2).long()
    tables = tones.stretch_tables(planes[: len(bins)], [bins, *own])
    if given := [table[:, None].expand(-1, images.shape[1], -1) for table in values[4:]]:
        tables = torch.cat([tables, *given])
    return tables.gather(2, planes).view(images.shape)


def _look_up(images: Tensor, values: Sequence[Tensor]) -> Tensor:
    return values[0].gather(1, images.flatten(1).long()).view(images.shape)


WORK: dict[str, Work] = {
    "warp": resample,
    "table": _look_up,
    "stretch": _stretch,
    "blend": tones.blend,
    "hue": lambda images, values: tones.hue(images, values[0]),
}
"""What each kind does to the images of a round."""
