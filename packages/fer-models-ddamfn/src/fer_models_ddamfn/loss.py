"""DDAMFN's loss: cross-entropy, and a term that keeps the attention maps of the heads apart."""

from __future__ import annotations

from itertools import combinations

import torch
from fer_core.plugin import Batch, FerError, Loss, Losses, Output, Progress, TaskInfo, at_least_float32
from torch import Tensor
from torch.nn import functional as F

EPSILON = torch.finfo(torch.float64).eps


class DDAMFNLoss(Loss):
    """Cross-entropy + `attention` x attention loss (Zhang et al., Electronics 12(17), 3595, 2023).

    Args:
        info: The task.
        attention: Weight of the attention loss, at least 0; 0.1 in the authors' code.

    Raises:
        FerError: The weight is negative.
    """

    def __init__(self, info: TaskInfo, *, attention: float = 0.1) -> None:
        super().__init__()
        if not attention >= 0:
            raise FerError(
                f"loss.attention is {attention}, which would reward heads that agree: the authors have 0.1"
            )
        self.attention = attention

    def from_output(self, output: Output, batch: Batch, progress: Progress) -> Losses:
        """The sum as `loss`, its unweighted terms `cross_entropy` and `attention`; and `logits`."""
        if not {"logits", "heads"} <= output.keys() or output["heads"].ndim != 5:
            raise FerError(
                "loss ddamfn needs a model that returns logits and heads [N, H, C, h, w], and this one returns "
                f"{', '.join(output)}: train the model ddamfn, or choose the loss cross_entropy"
            )
        cross_entropy = F.cross_entropy(at_least_float32(output["logits"]), batch["label"])
        attention = attention_loss(at_least_float32(output["heads"]))
        return {
            "loss": cross_entropy + self.attention * attention,
            "cross_entropy": cross_entropy,
            "attention": attention,
            "logits": output["logits"],
        }


def attention_loss(heads: Tensor) -> Tensor:
    """1 / (mean squared difference of two heads' maps, averaged over the pairs of heads); 0 for one head.

    As the authors' code computes it: number of pairs / (sum over the pairs + 2.2e-16). It has no upper bound: maps
    that are equal give 4.5e15.

    Args:
        heads: Attention maps [N, H, C, h, w].
    """
    maps = heads.unbind(dim=1)
    distances = [F.mse_loss(a, b) for a, b in combinations(maps, 2)]
    if not distances:
        return heads.new_zeros(())
    return len(distances) / (torch.stack(distances).sum() + EPSILON)
