"""One objective for a model with several heads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from fer_core.components import Names
from fer_core.errors import FerError, nearest
from fer_core.losses.base import Loss
from fer_core.losses.label import build_base
from fer_core.nn import at_least_float32
from fer_core.records import NotNegative
from fer_core.types import HEAD, TARGET

if TYPE_CHECKING:
    from fer_core.losses.base import Scan
    from fer_core.types import Batch, Losses, Output, Progress, TaskInfo


class MultiHead(Loss):
    """A loss of the label, and a term for the head of every extra target, logged as `head_NAME`.

    Args:
        info: The task.
        base: Name of the loss of the label, which gets the options that are not named here.
        weights: Weight of the term of each target; 1 for those that are not named.
        options: Of `base`.

    Raises:
        FerError: The dataset has no extra targets, or not one that `weights` names, or `base` calls the model
            itself.
    """

    def __init__(
        self,
        info: TaskInfo,
        *,
        base: Annotated[str, Names("losses")] = "cross_entropy",
        weights: dict[str, NotNegative] | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        given = weights or {}
        if not info.targets:
            raise FerError("loss multi_head needs a dataset with extra targets: use the loss of the label alone")
        for name in given:
            if name not in info.targets:
                hint = nearest(name, info.targets)
                raise FerError(f"loss.weights names the target {name!r}, which the dataset does not have: {hint}")
        self.base = build_base("multi_head", base, options, info)
        self.parameters_vary, self.soft_targets = self.base.parameters_vary, self.base.soft_targets
        self.weights = {name: given.get(name, 1.0) for name in info.targets}

    def from_output(self, output: Output, batch: Batch, progress: Progress) -> Losses:
        """The base's losses, with the weighted terms of the heads in `loss`."""
        losses = dict(self.base.from_output(output, batch, progress))
        for name, weight in self.weights.items():
            if weight and HEAD + name not in output:
                raise FerError(
                    f"the model has no output {HEAD}{name} for the target {name}: add that head, or leave the "
                    f"target out with -o loss.weights.{name}=0"
                )
            if weight:
                term = target_term(output[HEAD + name], batch[TARGET + name])
                losses["loss"] = losses["loss"] + weight * term
                losses[HEAD + name] = term
        return losses

    def after_epoch(self, scan: Scan, progress: Progress) -> None:
        """What the base does between epochs."""
        self.base.after_epoch(scan, progress)


def target_term(head: Tensor, target: Tensor) -> Tensor:
    """The loss of a head: cross-entropy for classes and distributions, the squared error for numbers.

    A sample without the target counts as an error of 0. The mean is that over all samples, so that the parts of a
    batch, and the processes that share it, add up to the whole batch.

    Args:
        head: `head_NAME` of a model's output, [N, K] or [N].
        target: `target_NAME` of the batch, int64 or float32 [N], or float32 [N, K].

    Returns:
        A scalar, in the precision of the head, at least float32.
    """
    scores = at_least_float32(head)
    if not target.is_floating_point():
        present, known = target >= 0, target.clamp(min=0)
    else:
        present, known = ~target.isnan(), target.nan_to_num().to(scores.dtype)
    if scores.dim() == 1:
        errors = (scores - known).square()
    else:
        errors = F.cross_entropy(scores, known, reduction="none")
        present = present if present.dim() == 1 else present[:, 0]
    return torch.where(present, errors, 0.0).mean()
