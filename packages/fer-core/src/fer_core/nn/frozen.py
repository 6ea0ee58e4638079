"""Frozen parts, computed once where an optimizer asks for two passes over the same images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn
from torch._compile import _disable_dynamo
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

Output = TypeVar("Output")


class Frozen(Generic[Output]):
    """Remembers what a frozen part of a model gave for the last images.

    SAM runs the model twice over one batch, and a part that is not trained gives the same both times. In train
    mode BatchNorm moves its running statistics at each pass, also in a frozen part; the batch being the same, the
    second move is (1 - momentum) times the first, so it is made without computing the batch again.

    It is not a module and leaves the names of the state dict alone: keep it beside the part as a plain attribute.

    Args:
        part: The module whose parameters take no gradient. Where some do, nothing is remembered. Its batch
            normalisations have a momentum, as by default.
        compute: Images to the part's output.
    """

    def __init__(self, part: nn.Module, compute: Callable[[Tensor], Output]) -> None:
        self.part = part
        self.compute = compute
        self._images: Tensor | None = None
        self._seal: tuple[int, ...] = ()
        self._output: Output | None = None
        self._moves: list[tuple[BatchNorm, Tensor, Tensor]] = []

    def __call__(self, images: Tensor) -> Output:
        """The part's output for `images`, computed only where these are not those of the last call."""
        if not self.part.training or any(p.requires_grad for p in self.part.parameters()):
            return self.compute(images)
        remembered: Output = self._remembered(images)
        return remembered

    @_disable_dynamo  # unlike `torch.compiler.disable`, it imports the compiler when it is called
    def _remembered(self, images: Tensor) -> Output:
        if self._output is not None and self._images is images and self._seal == self._state_of(images):
            self._move_again()
            return self._output
        norms = [module for module in self.part.modules() if isinstance(module, BatchNorm) and module.training]
        before = [(norm, _copy(norm.running_mean), _copy(norm.running_var)) for norm in norms]
        with torch.no_grad():
            self._output = self.compute(images)
        self._images, self._seal = images, self._state_of(images)
        self._moves = [
            (norm, _copy(norm.running_mean) - mean, _copy(norm.running_var) - var) for norm, mean, var in before
        ]
        return self._output

    def _state_of(self, images: Tensor) -> tuple[int, ...]:
        """Changes whenever the images or the weights are written to."""
        return (images._version, *(parameter._version for parameter in self.part.parameters()))

    @torch.no_grad()
    def _move_again(self) -> None:
        for norm, mean, var in self._moves:
            assert norm.momentum is not None
            kept = 1 - norm.momentum
            for stat, move in ((norm.running_mean, mean), (norm.running_var, var)):
                assert stat is not None
                stat.add_(move.mul_(kept))
            assert norm.num_batches_tracked is not None
            norm.num_batches_tracked += 1


def _copy(stat: Tensor | None) -> Tensor:
    assert stat is not None
    return stat.clone()
