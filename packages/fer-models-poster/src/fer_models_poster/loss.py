"""POSTER's loss: cross-entropy plus two times label-smoothed cross-entropy. POSTER++ uses plain cross-entropy."""

from __future__ import annotations

from fer_core.plugin import Batch, FerError, Loss, Losses, Output, Progress, TaskInfo, at_least_float32
from torch.nn import functional as F


class POSTERLoss(Loss):
    """Cross-entropy + `weight` x cross-entropy with label smoothing.

    With the authors' values it is three times a cross-entropy whose labels are smoothed by 2/15.

    Args:
        info: The task.
        smoothing: Probability that is distributed over all classes, in [0, 1).
        weight: Weight of the smoothed term, 0 or more.
    """

    def __init__(self, info: TaskInfo, *, smoothing: float = 0.2, weight: float = 2.0) -> None:
        super().__init__()
        if not 0 <= smoothing < 1:
            raise FerError(f"loss.smoothing is {smoothing}, but it is a share of the target: use 0 to below 1")
        if not weight >= 0:
            raise FerError(f"loss.weight is {weight}, which would reward errors: use 0 or more")
        self.smoothing = smoothing
        self.weight = weight

    def from_output(self, output: Output, batch: Batch, progress: Progress) -> Losses:
        """The sum as `loss`, its unweighted terms `cross_entropy` and `smoothed_cross_entropy`; and `logits`."""
        scores = at_least_float32(output["logits"])
        cross_entropy = F.cross_entropy(scores, batch["label"])
        smoothed = F.cross_entropy(scores, batch["label"], label_smoothing=self.smoothing)
        return {
            "loss": cross_entropy + self.weight * smoothed,
            "cross_entropy": cross_entropy,
            "smoothed_cross_entropy": smoothed,
            "logits": output["logits"],
        }
