"""The operations of augmentation policies on a whole batch, in few calls, as a GPU takes them.

Operations of one kind are done together, whatever their strengths, in a round. A sample's operations keep their
order, while those of different samples have none: rounds are arranged so that there are few of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import groupby

import torch
from torch import Tensor

from fer_core.data.transforms import tones
from fer_core.data.transforms.base import Plan, Shape, Work, chain
from fer_core.data.transforms.operations import OPERATIONS, Style
from fer_core.data.transforms.resample import resample, warp_values

CALLS = {"warp": 27, "blend": 25, "equalize": 16, "auto_contrast": 14, "hue": 60, "table": 4}
"""How many operators a round of each kind calls, about."""
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
    """Rounds, a kind and its members each: the cheapest of a few ways to order them."""
    waiting: dict[int, list[Member]] = {}
    for draw in draws:
        for row, (name, strength) in enumerate(zip(draw.names, draw.strengths.tolist(), strict=True)):
            if name:
                waiting.setdefault(row, []).append((row, name, strength, draw.styles[row]))
    ways = [_order(list(waiting.values()), weight) for weight in (0, 1, 2, 3)]
    return min(ways, key=lambda rounds: sum(CALLS[kind] for kind, _ in rounds))


def _order(waiting: list[list[Member]], weight: int) -> list[tuple[str, list[Member]]]:
    """Next comes the kind that the most samples wait for; those with many steps left count more, by `weight`."""
    rounds = []
    while waiting:
        heads: Counter[str] = Counter()
        for steps in waiting:
            heads[OPERATIONS[steps[0][1]].kind] += len(steps) ** weight
        ((kind, _),) = heads.most_common(1)
        ready = [OPERATIONS[steps[0][1]].kind == kind for steps in waiting]
        rounds.append((kind, [steps[0] for steps, now in zip(waiting, ready, strict=True) if now]))
        left = [steps[1:] if now else steps for steps, now in zip(waiting, ready, strict=True)]
        waiting = [steps for steps in left if steps]
    return rounds


def _plan_round(kind: str, members: list[Member], shape: Shape) -> Plan:
    members = sorted(members, key=lambda member: member[1])
    size = shape.height, shape.width
    parts = []
    for name, group in groupby(members, key=lambda member: member[1]):
        strengths = torch.tensor([strength for _, _, strength, _ in group], dtype=torch.float64)
        parts.append(OPERATIONS[name].values(strengths, size))
    values = [torch.cat(parts)]
    if kind == "warp":
        styles = [style for _, _, _, style in members]
        values = warp_values(values[0], [style.method for style in styles], size, styles[0].fill)
    rows = torch.tensor([row for row, _, _, _ in members])
    return Plan(partial(_change, kind), shape, [rows, *values])


def _change(kind: str, images: Tensor, values: Sequence[Tensor]) -> Tensor:
    rows, *own = values
    images[rows] = WORK[kind](images[rows], own)
    return images


def _look_up(images: Tensor, values: Sequence[Tensor]) -> Tensor:
    return values[0].gather(1, images.flatten(1).long()).view(images.shape)


WORK: dict[str, Work] = {
    "warp": resample,
    "table": _look_up,
    "blend": lambda images, values: tones.blend(images, values[0]),
    "equalize": lambda images, values: tones.equalize(images),
    "auto_contrast": lambda images, values: tones.autocontrast(images),
    "hue": lambda images, values: tones.hue(images, values[0]),
}
"""What each kind does to the images of a round."""
