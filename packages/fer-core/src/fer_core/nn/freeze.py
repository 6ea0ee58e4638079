"""Parameters that a training leaves as they are."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from types import MethodType

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from fer_core.errors import FerError, listed


def matching(model: nn.Module, pattern: str, key: str) -> list[str]:
    """Names of the model's parameters that a shell pattern matches.

    Args:
        model: Any module.
        pattern: Such as `body.*`; case counts.
        key: Where it stands, for the message.

    Raises:
        FerError: It matches none.
    """
    names = [name for name, _ in model.named_parameters()]
    if found := [name for name in names if fnmatchcase(name, pattern)]:
        return found
    raise FerError(
        f"{key}: {pattern!r} matches no parameter of the model, which has {listed(names, 3)}: correct the pattern"
    )


def freeze(model: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Take parameters out of the training; a BatchNorm all of whose parameters are frozen keeps its statistics.

    Such a BatchNorm normalises with its running statistics in training, too: `train()` leaves it in eval mode.

    Args:
        model: Changed in place.
        patterns: Of names of parameters; of buffers for a BatchNorm without parameters.

    Returns:
        Names of the frozen parameters.

    Raises:
        FerError: A pattern matches no parameter.
    """
    frozen = list(dict.fromkeys(name for each in patterns for name in matching(model, each, "model.freeze")))
    for name in frozen:
        model.get_parameter(name).requires_grad_(False)
    for prefix, module in model.named_modules():
        if isinstance(module, BatchNorm) and _covers(patterns, prefix, module):
            module.train = MethodType(_stay, module)  # type: ignore[method-assign]  # a copy of the model has its own
            module.eval()
    return frozen


def _covers(patterns: Sequence[str], prefix: str, norm: BatchNorm) -> bool:
    own = [name for name, _ in norm.named_parameters()] or [name for name, _ in norm.named_buffers()]
    names = [f"{prefix}.{name}".lstrip(".") for name in own]
    return bool(names) and all(any(fnmatchcase(name, each) for each in patterns) for name in names)


def _stay(norm: BatchNorm, mode: bool = True) -> BatchNorm:
    norm.training = False
    return norm
