"""The optimizers by name: `(params, **options) -> Optimizer`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Annotated, Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from fer_core.components import Names, build
from fer_core.errors import FerError
from fer_core.optim.sam import SAM
from fer_core.records import Fraction, NotNegative, Positive

Params = Iterable[Tensor] | Iterable[dict[str, Any]]


def sgd(
    params: Params,
    *,
    lr: Positive = 0.1,
    momentum: NotNegative = 0.0,
    weight_decay: NotNegative = 0.0,
    nesterov: bool = False,
    decay_vectors: bool = True,
) -> Optimizer:
    """Stochastic gradient descent with momentum.

    With g the gradient plus `weight_decay` * w: v = momentum * v + g, then w -= lr * v; `nesterov` uses
    g + momentum * v instead of v (Sutskever et al. 2013).

    Args:
        params: Tensors or parameter groups.
        lr: Learning rate, above 0.
        momentum: Share of the velocity that is kept, 0 or more.
        weight_decay: L2 penalty.
        nesterov: Look ahead along the velocity; needs momentum.
        decay_vectors: False spares biases and the scales of norms (fewer than two dimensions) the decay.

    Raises:
        FerError: torch rejects the options, or there is nothing to train.
    """
    return _build(
        "sgd",
        torch.optim.SGD,
        params,
        decay_vectors,
        {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "nesterov": nesterov},
    )


def adam(
    params: Params,
    *,
    lr: Positive = 1e-3,
    betas: tuple[Fraction, Fraction] = (0.9, 0.999),
    eps: NotNegative = 1e-8,
    weight_decay: NotNegative = 0.0,
    decay_vectors: bool = True,
) -> Optimizer:
    """Adam (Kingma and Ba 2015, arXiv:1412.6980); the weight decay is an L2 penalty in the gradient.

    Args:
        params: Tensors or parameter groups.
        lr: Learning rate, above 0.
        betas: Decay rates of the mean of the gradient and of its square.
        eps: Added to the root of the second moment.
        weight_decay: L2 penalty.
        decay_vectors: False spares biases and the scales of norms (fewer than two dimensions) the decay.

    Raises:
        FerError: torch rejects the options, or there is nothing to train.
    """
    options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
    return _build("adam", torch.optim.Adam, params, decay_vectors, options)


def adamw(
    params: Params,
    *,
    lr: Positive = 1e-3,
    betas: tuple[Fraction, Fraction] = (0.9, 0.999),
    eps: NotNegative = 1e-8,
    weight_decay: NotNegative = 0.01,
    decay_vectors: bool = True,
) -> Optimizer:
    """Adam with decoupled weight decay: w -= lr * weight_decay * w (Loshchilov and Hutter 2019, arXiv:1711.05101).

    Args:
        params: Tensors or parameter groups.
        lr: Learning rate, above 0.
        betas: Decay rates of the mean of the gradient and of its square.
        eps: Added to the root of the second moment.
        weight_decay: Share of a weight removed per step, times `lr`.
        decay_vectors: False spares biases and the scales of norms (fewer than two dimensions) the decay.

    Raises:
        FerError: torch rejects the options, or there is nothing to train.
    """
    options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
    return _build("adamw", torch.optim.AdamW, params, decay_vectors, options)


def sam(
    params: Params,
    *,
    base: Annotated[str, Names("optimizers")] = "adam",
    rho: Positive = 0.05,
    adaptive: bool = False,
    **options: Any,
) -> SAM:
    """Sharpness-aware minimisation around `base`; see `SAM`.

    Args:
        params: Tensors or parameter groups.
        base: Name of any other optimizer, a plugin's too.
        rho: Radius of the neighbourhood, above 0.
        adaptive: Measure the neighbourhood relative to each weight.
        **options: Options of the base.

    Raises:
        FerError: The base does not exist, is `sam` itself, or does not take the options.
    """
    optimizer: Optimizer = build("optimizers", base, options, params)
    if isinstance(optimizer, SAM):
        raise FerError("optimizer.base is sam, which cannot be its own base: use another one, such as adam or sgd")
    return SAM(optimizer, rho=rho, adaptive=adaptive)


def _build(
    name: str,
    optimizer: Callable[..., Optimizer],
    params: Params,
    decay_vectors: bool,
    options: dict[str, Any],
) -> Optimizer:
    """An optimizer of torch in its quickest implementation; what it does not take is one line."""
    groups = _groups(params)
    tensors = [p for group in groups for p in group["params"]]
    if not tensors:
        raise FerError(f"optimizer {name} got nothing to train, because every parameter is frozen: unfreeze some")
    if not decay_vectors:
        groups = [part for group in groups for part in _spare_vectors(group)]
    # One pass over the memory instead of one per operation: on a CPU three times as quick as a loop or foreach.
    fused = all(p.is_floating_point() and _fuses(optimizer, p.device) for p in tensors)
    try:
        return optimizer(groups, fused=fused or None, **options)
    except ValueError as error:
        raise FerError(f"optimizer {name} rejects its options ({error}): correct them under optimizer") from error


@cache
def _fuses(optimizer: Callable[..., Optimizer], device: torch.device) -> bool:
    """Whether torch has a fused form of an optimizer there, which only a step can tell."""
    weight = torch.zeros(1, device=device, requires_grad=True)
    weight.grad = torch.zeros_like(weight)
    try:
        optimizer([weight], fused=True).step()
    except RuntimeError:
        return False
    return True


def _groups(params: Params) -> list[dict[str, Any]]:
    """Parameter groups of their own, so that no caller's dictionary is changed."""
    given = list(params)
    groups = [{**g, "params": list(g["params"])} for g in given if isinstance(g, dict)]
    return groups or [{"params": given}]


def _spare_vectors(group: dict[str, Any]) -> list[dict[str, Any]]:
    """The group in two: what decays, and what does not."""
    matrices = [p for p in group["params"] if p.ndim >= 2]
    vectors = [p for p in group["params"] if p.ndim < 2]
    parts = [{**group, "params": matrices}, {**group, "params": vectors, "weight_decay": 0.0}]
    return [part for part in parts if part["params"]]
