"""Activation checkpointing: the backward pass recomputes activations, trading time for memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from fer_core.errors import FerError


def recompute_blocks(model: nn.Module) -> int:
    """Have every block of `model` keep its input only, in training, and compute the rest again for its gradient.

    Gradients and buffers are what they were without: layer noise is drawn alike both times, and only the first
    time counts in running statistics. Names of parameters stay; inference is not touched.

    Args:
        model: Changed in place. Its blocks are what `find_blocks` finds.

    Returns:
        How many blocks there are.

    Raises:
        FerError: It has none.
    """
    blocks = find_blocks(model)
    if not blocks:
        raise FerError(
            f"train.recompute found no block for activation checkpointing in {type(model).__name__}, since it has "
            "no sequence of modules that consist of others: leave it out, and use train.accumulate to save memory"
        )
    for block in blocks:
        block.forward = partial(_run, block, block.forward)
    return len(blocks)


def find_blocks(model: nn.Module) -> list[nn.Module]:
    """The parts of `model` that are worth checkpointing, none nested in another.

    These are the members of an `nn.Sequential` or `nn.ModuleList` that consist of further modules, such as the
    residual blocks of a stage, and sequences that are a class of their own. What holds a run of such members, like
    a stage of blocks, is not a block itself.
    """
    return list(_blocks(model, member=False))


def _blocks(module: nn.Module, *, member: bool) -> Iterator[nn.Module]:
    own_class = isinstance(module, nn.Sequential) and not _is_container(module)
    if (own_class or (member and not _is_container(module))) and _composite(module) and not _holds_run(module):
        yield module
        return
    for child in module.children():
        yield from _blocks(child, member=_is_container(module))


def _is_container(module: nn.Module) -> bool:
    return type(module) in (nn.Sequential, nn.ModuleList)


def _composite(module: nn.Module) -> bool:
    """Whether it has modules in it that learn, two at least: a single layer keeps little but its input."""
    return sum(any(True for _ in part.parameters(recurse=False)) for part in module.modules()) > 1


def _holds_run(module: nn.Module) -> bool:
    """Whether there are, anywhere in it, several composite modules of one class in a row."""
    for part in module.modules():
        if _is_container(part):
            kinds = [type(child) for child in part.children() if not _is_container(child) and _composite(child)]
            if len(kinds) > len(set(kinds)):
                return True
    return False


def _run(block: nn.Module, forward: Any, *args: Any, **kwargs: Any) -> Any:
    if not (torch.is_grad_enabled() and block.training):
        return forward(*args, **kwargs)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _second_time(block)

    return checkpoint(forward, *args, use_reentrant=False, context_fn=contexts, **kwargs)


@contextmanager
def _second_time(block: nn.Module) -> Iterator[None]:
    # The batch would count twice in running statistics, so the second time fills copies.
    kept = [(part, name, buffer) for part in block.modules() for name, buffer in part._buffers.items()]
    try:
        for part, name, buffer in kept:
            part._buffers[name] = None if buffer is None else buffer.clone()
        yield
    finally:
        for part, name, buffer in kept:
            part._buffers[name] = buffer
