"""Learning rates that differ between the parameters of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.optim import Optimizer

from fer_core.nn.freeze import matching

if TYPE_CHECKING:
    from fer_core.config.schema import RateGroup


def rate_factors(models: Sequence[nn.Module], groups: Sequence[RateGroup]) -> dict[Tensor, float]:
    """The factor of each parameter that a pattern matches; the first one counts.

    Raises:
        FerError: A pattern matches no parameter of a model.
    """
    factors: dict[Tensor, float] = {}
    for model in models:
        for group in groups:
            for name in matching(model, group.match, "optimizer.groups"):
                factors.setdefault(model.get_parameter(name), group.lr_factor)
    return factors


def scale_rates(optimizer: Optimizer, factors: dict[Tensor, float]) -> None:
    """Divide an optimizer's groups into those of equal factors, and multiply their learning rates.

    It is done after the optimizer was made, and so for every optimizer. Parameters without a factor come first:
    the learning rate that is shown is theirs.
    """
    for group in [group for group in optimizer.param_groups if group["params"]]:
        parts: dict[float, list[Tensor]] = {}
        for parameter in group["params"]:
            parts.setdefault(factors.get(parameter, 1.0), []).append(parameter)
        common = {key: value for key, value in group.items() if key != "params"}
        first, *others = sorted(parts, key=lambda factor: (factor != 1, factor))
        group["params"], group["lr"] = parts[first], common["lr"] * first
        for factor in others:
            optimizer.add_param_group({**common, "params": parts[factor], "lr": common["lr"] * factor})
