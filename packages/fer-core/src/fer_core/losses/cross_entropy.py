"""Cross-entropy, on labels, on the annotators' distribution, or on the best of several labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from fer_core.errors import FerError
from fer_core.losses.base import Loss
from fer_core.nn import at_least_float32
from fer_core.records import Fraction

if TYPE_CHECKING:
    from fer_core.types import Batch, Losses, Output, Progress, TaskInfo

Target = Literal["label", "distribution", "any"]
OTHERS = 0.001
"""Target of the classes without votes where any class with votes will do."""


class CrossEntropy(Loss):
    """Mean cross-entropy over the batch.

    The targets other than `label` are those of E. Barsoum and others, arXiv:1608.01041, section 3.

    Args:
        info: The task.
        label_smoothing: Weight of the uniform distribution in the target, 0 to 1.
        target: `label`; `distribution`, the annotators' votes; or `any`, which asks for one of the classes with
            votes, whichever is the likeliest: -log max(t p) with t = 1 for them and 0.001 for the others.

    Raises:
        FerError: Label smoothing together with `any`.
    """

    def __init__(self, info: TaskInfo, *, label_smoothing: Fraction = 0.0, target: Target = "label") -> None:
        super().__init__()
        if target == "any" and label_smoothing:
            raise FerError("loss.target=any has no smoothed form: set loss.label_smoothing=0, or use distribution")
        self.label_smoothing = label_smoothing
        self.target = target

    def from_output(self, output: Output, batch: Batch, progress: Progress) -> Losses:
        """Cross-entropy of the `logits` [N, C] against the chosen target, in their precision, at least float32."""
        key = "label" if self.target == "label" else "distribution"
        if key not in batch:
            raise FerError(f"loss.target is {self.target}, but this dataset has no votes: use loss.target=label")
        scores, target = at_least_float32(output["logits"]), batch[key]
        if target.is_floating_point():
            target = target.to(scores.dtype)
        if self.target == "any":
            loss = _any(scores, target)
        else:
            loss = F.cross_entropy(scores, target, label_smoothing=self.label_smoothing)
        return {"loss": loss, "logits": output["logits"]}


def _any(logits: Tensor, distribution: Tensor) -> Tensor:
    targets = torch.full_like(logits, OTHERS).masked_fill(distribution > 0, 1)
    return -(targets.log() + logits.log_softmax(1)).amax(1).mean()
