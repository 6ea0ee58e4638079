"""Places inside a network, found by what they do: its last spatial map, and its last vector of features.

Both are bottlenecks: everything that the logits know of the images passes through them. Whether that holds is read
off autograd's graph of one forward pass, so a branch, a gate or one head of several is not mistaken for the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from torch.autograd.graph import Node

    Edge = tuple[Node, int]

EARLY = 0.25
"""A map in the first quarter of the network, such as a transformer's patches, says nothing of its decision."""


@dataclass(frozen=True)
class Site:
    """A tensor that the `call`-th call of a module (from 0) takes as its first argument or gives.

    Attributes:
        module: Of the network.
        call: A module may be called several times in a pass.
        taken: Whether it is the input; else the output.
        channels_last: Of a map: whether it is [N, h, w, C].
    """

    module: nn.Module
    call: int
    taken: bool
    channels_last: bool = False


def find_map(model: nn.Module, images: Tensor) -> Site | None:
    """The last output of a module that is a spatial map, square with the images, and a bottleneck.

    Args:
        model: In eval mode.
        images: [N, 3, H, W]; two are enough.

    Returns:
        None where there is none, or only in the first quarter of the network's longest chain of operations.
    """
    graph = _Graph(model, images)
    height, width = images.shape[-2:]
    for site, edge, shape in graph.deepest_first():
        if site.taken or len(shape) != 4 or shape[0] != len(images):
            continue
        first, last = (_is_spatial(sides, height, width) for sides in (shape[2:], shape[1:3]))
        if (first or last) and graph.is_bottleneck(edge):
            early = graph.depth(edge[0]) < EARLY * graph.depth(graph.end[0])
            return None if early else Site(site.module, site.call, False, channels_last=not first)
    return None


def find_features(model: nn.Module, images: Tensor, classes: int) -> Site | None:
    """The last vector that is a bottleneck and not the logits yet: as a rule what the classifier takes.

    Args:
        model: In eval mode.
        images: [N, 3, H, W]; two are enough.
        classes: Number of logits.
    """
    graph = _Graph(model, images)
    for site, edge, shape in graph.deepest_first():
        fits = len(shape) == 2 and shape[0] == len(images) and shape[1] != classes
        if fits and graph.is_bottleneck(edge):
            return site
    return None


def run_to(model: nn.Module, images: Tensor, site: Site) -> tuple[Tensor, Tensor]:
    """One forward pass.

    Returns:
        The tensor at `site`, and the logits [N, C].
    """
    kept: list[Tensor] = []
    calls = 0

    def hook(module: nn.Module, taken: tuple[Any, ...], given: Any = None) -> Any:
        nonlocal calls
        calls += 1
        if calls - 1 != site.call:
            return None
        kept.append(taken[0] if site.taken else given)
        return None if site.taken else given.clone()  # what follows may write into it

    module = site.module
    handle = module.register_forward_pre_hook(hook) if site.taken else module.register_forward_hook(hook)
    try:
        logits: Tensor = model(images)["logits"]
    finally:
        handle.remove()
    return kept[0], logits


class _Graph:
    """Autograd's graph of one pass, and what the modules took and gave, in the order of time.

    Attributes:
        seen: Place, edge of the graph, and shape of each tensor.
        end: The edge of the logits.
    """

    def __init__(self, model: nn.Module, images: Tensor) -> None:
        self.seen: list[tuple[Site, Edge, tuple[int, ...]]] = []
        self._images = images.detach().clone().requires_grad_()
        self._calls: dict[nn.Module, int] = {}
        handles = [module.register_forward_hook(self._note) for module in model.modules() if module is not model]
        try:
            with torch.enable_grad():
                logits = model(self._images)["logits"]
        finally:
            for handle in handles:
                handle.remove()
        self.end: Edge = (logits.grad_fn, logits.output_nr)
        self._depths: dict[Node, int] = {}

    def _note(self, module: nn.Module, taken: tuple[Any, ...], given: Any) -> None:
        call = self._calls[module] = self._calls.get(module, -1) + 1
        # What a layer takes is noted for linear ones only: nobody else may have given the classifier's input.
        first = taken[0] if isinstance(module, nn.Linear) else None
        for tensor, is_taken in ((first, True), (given, False)):
            if isinstance(tensor, Tensor) and tensor.grad_fn is not None:
                edge = (tensor.grad_fn, tensor.output_nr)
                self.seen.append((Site(module, call, is_taken), edge, tuple(tensor.shape)))

    def deepest_first(self) -> list[tuple[Site, Edge, tuple[int, ...]]]:
        """`seen` from the logits to the images: what is computed last may lie beside the way between them."""
        return sorted(self.seen, key=lambda seen: self.depth(seen[1][0]))[::-1]

    def is_bottleneck(self, cut: Edge) -> bool:
        """Whether the logits depend on the tensor of this edge, and on the images through it only."""
        if self.end[0] is None:
            return False
        waiting, known, met = [self.end], {self.end}, False
        while waiting:
            edge = waiting.pop()
            if edge == cut:
                met = True
                continue
            if getattr(edge[0], "variable", None) is self._images:
                return False
            for node, output in edge[0].next_functions:
                if node is not None and (node, output) not in known:
                    known.add((node, output))
                    waiting.append((node, output))
        return met

    def depth(self, node: Node) -> int:
        """Operations of the longest chain from a leaf to `node`."""
        waiting = [node]
        while waiting:
            last = waiting[-1]
            before = [follower for follower, _ in last.next_functions if follower is not None]
            missing = [follower for follower in before if follower not in self._depths]
            if missing:
                waiting += missing
                continue
            self._depths[last] = 1 + max((self._depths[follower] for follower in before), default=0)
            waiting.pop()
        return self._depths[node]


def _is_spatial(sides: Sequence[int], height: int, width: int) -> bool:
    """Whether a map of these sides has places, as many along a side as the images' shape asks for."""
    return min(sides) > 1 and sides[0] * width == sides[1] * height
