"""Cross-entropy, on labels or on the annotators' distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torch.nn import functional as F

from fer_core.errors import FerError
from fer_core.losses.base import Loss

if TYPE_CHECKING:
    from fer_core.types import Batch, Losses, Progress, TaskInfo


class CrossEntropy(Loss):
    """Mean cross-entropy over the batch.

    Args:
        info: The task.
        label_smoothing: Weight of the uniform distribution in the target, 0 to 1.
        target: `label`, or `distribution` to train on the annotators' votes (Barsoum et al. 2016).
    """

    def __init__(self, info: TaskInfo, *, label_smoothing: float = 0.0, target: str = "label") -> None:
        super().__init__()
        if target not in ("label", "distribution"):
            raise FerError(f"loss.target is {target!r}, which does not exist: use label or distribution")
        self.label_smoothing = label_smoothing
        self.target = target

    def forward(self, model: nn.Module, batch: Batch, progress: Progress) -> Losses:
        """Cross-entropy of the model's `logits` [N, C] against the chosen target."""
        if self.target not in batch:
            raise FerError("loss.target is distribution, but this dataset has no votes: use loss.target=label")
        logits = model(batch["image"])["logits"]
        loss = F.cross_entropy(logits.float(), batch[self.target], label_smoothing=self.label_smoothing)
        return {"loss": loss, "logits": logits}
