"""DAN's loss: cross-entropy, affinity to class centres, and partition of the heads."""

from __future__ import annotations

import torch
from fer_core.plugin import Batch, FerError, Loss, Losses, Output, Progress, TaskInfo, at_least_float32
from torch import Tensor, nn
from torch.nn import functional as F

from fer_models_dan.dan import FEATURES

EPSILON = torch.finfo(torch.float64).eps


class DANLoss(Loss):
    """Cross-entropy + `affinity` x affinity loss + `partition` x partition loss (Wen et al., arXiv 2109.07270).

    The centres are parameters: the optimizer trains them with the model, and the state of a run contains them.

    Args:
        info: The task.
        centers: Number of class centres. None: one a class. The authors' RAF-DB script has 8 for its 7 classes,
            so that no sample has the eighth centre as its own; it moves only through the spread of all.
        affinity: Weight of the affinity loss.
        partition: Weight of the partition loss.
    """

    def __init__(
        self, info: TaskInfo, *, centers: int | None = None, affinity: float = 1.0, partition: float = 1.0
    ) -> None:
        super().__init__()
        number = info.num_classes if centers is None else centers
        if number < max(2, info.num_classes):
            raise FerError(
                f"loss.centers is {number}, but {info.num_classes} classes need a centre each and the spread "
                f"needs two: use {max(2, info.num_classes)} or more"
            )
        self.centers = nn.Parameter(torch.randn(number, FEATURES))
        self.affinity = affinity
        self.partition = partition

    def from_output(self, output: Output, batch: Batch, progress: Progress) -> Losses:
        """The sum as `loss`, its unweighted terms `cross_entropy`, `affinity`, `partition`; and `logits`."""
        if not {"logits", "features", "heads"} <= output.keys() or output["features"].shape[1] != FEATURES:
            raise FerError(
                f"loss dan needs a model that returns logits, features [N, {FEATURES}, h, w] and heads, and this "
                f"one returns {', '.join(output)}: train the model dan, or choose the loss cross_entropy"
            )
        labels = batch["label"]
        cross_entropy = F.cross_entropy(at_least_float32(output["logits"]), labels)
        vectors = at_least_float32(output["features"]).mean((2, 3))
        affinity = affinity_loss(vectors, labels, at_least_float32(self.centers))
        partition = partition_loss(at_least_float32(output["heads"]))
        return {
            "loss": cross_entropy + self.affinity * affinity + self.partition * partition,
            "cross_entropy": cross_entropy,
            "affinity": affinity,
            "partition": partition,
            "logits": output["logits"],
        }


def affinity_loss(vectors: Tensor, labels: Tensor, centers: Tensor) -> Tensor:
    """Mean squared distance of each vector to its class's centre, over the spread of the centres.

    The spread is the sum over dimensions of the unbiased variance over the centres, so that the gradient also
    drives the centres apart. The authors' code clamps every entry of its masked distance matrix from below, which
    adds (K - 1) * 1e-12 and is left out here.

    Args:
        vectors: Pooled features [N, D].
        labels: Class indices [N].
        centers: Class centres [K, D], K >= 2.
    """
    distances = (vectors - centers[labels]).square().sum(dim=1)
    return distances.mean() / centers.var(dim=0).sum()


def partition_loss(heads: Tensor) -> Tensor:
    """log(1 + H / s), s being the variance over the heads, averaged over batch and channels; 0 for one head.

    The mean is taken before the logarithm, as the authors' code does it.

    Args:
        heads: Log-softmax over the heads [N, H, D].
    """
    number = heads.shape[1]
    if number == 1:
        return heads.new_zeros(())
    return torch.log1p(number / (heads.var(dim=1).mean() + EPSILON))
