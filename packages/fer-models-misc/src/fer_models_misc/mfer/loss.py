"""MFER's loss: smoothed cross-entropy of every head; a centre loss in place of the unpublished feature loss."""

from __future__ import annotations

import torch
from fer_core.plugin import Batch, FerError, Loss, Losses, Output, Progress, TaskInfo, at_least_float32
from torch import Tensor, nn
from torch.nn import functional as F

from fer_models_misc.mfer.network import WIDTHS

FEATURES = WIDTHS[-1]


class MFERLoss(Loss):
    """Sum over the heads of the cross-entropy with label smoothing, + `center` x centre loss.

    The paper's feature loss is published neither as a formula nor as code, and this is not it: the centre loss is
    a substitute, the one that the same authors' FAER code builds with the same arguments, and off by default.
    The centres are parameters: the optimizer trains them with the model, and the state of a run contains them.

    Args:
        info: The task.
        smoothing: Probability of each target that is distributed evenly over the classes.
        center: Weight of the centre loss, 0.001 in that code; with 0 there are no centres.
    """

    def __init__(self, info: TaskInfo, *, smoothing: float = 0.1, center: float = 0.0) -> None:
        super().__init__()
        if not 0 <= smoothing < 1:
            raise FerError(
                f"loss.smoothing is {smoothing}, but it is the share of a target that is spread over the classes: "
                "use a number from 0 up to, but not including, 1"
            )
        if center < 0:
            raise FerError(f"loss.center is {center}, but it weighs a distance to be made small: use 0 or more")
        self.smoothing = smoothing
        self.center = center
        if center > 0:
            self.centers = nn.Parameter(torch.empty(info.num_classes, FEATURES))
            nn.init.xavier_uniform_(self.centers, gain=2**0.5)

    def from_output(self, output: Output, batch: Batch, progress: Progress) -> Losses:
        """`loss`, the sum; its unweighted terms `head_0`, `head_1`, `head_2` and, if used, `center`; `logits`."""
        if not {"stage_logits", "features"} <= output.keys():
            raise FerError(
                "loss mfer needs a model that returns stage_logits [N, 3, C] and features, and this one returns "
                f"{', '.join(output)}: train the model mfer, or choose the loss cross_entropy"
            )
        labels = batch["label"]
        heads = head_losses(at_least_float32(output["stage_logits"]), labels, self.smoothing)
        losses = {"loss": heads.sum()} | {f"head_{i}": term for i, term in enumerate(heads.unbind())}
        if self.center > 0:
            term, pull = center_loss(at_least_float32(output["features"]), labels, self.centers)
            losses["loss"] = losses["loss"] + self.center * term + (pull - pull.detach())
            losses["center"] = term
        return losses | {"logits": output["logits"]}


def head_losses(stage_logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Mean over the batch of every head's cross-entropy: logits [N, H, C] and labels [N] to [H], in one call."""
    rows, heads = stage_logits.shape[:2]
    targets = labels.repeat_interleave(heads)
    terms = F.cross_entropy(stage_logits.flatten(0, 1), targets, reduction="none", label_smoothing=smoothing)
    return terms.view(rows, heads).mean(0)


def center_loss(features: Tensor, labels: Tensor, centers: Tensor) -> tuple[Tensor, Tensor]:
    """Half the mean squared distance of features to their classes' centres, and the term that updates the centres.

    The first has a gradient for the features only. In that code the centres have a separate update rule: the
    gradient of centre c is the sum over its class of (c - f) / ((1 + n) N), n being the images of the class in the
    batch, and the weight of the loss does not scale it. The second has that gradient; its value is meaningless.

    Args:
        features: Features [N, D].
        labels: Class indices [N].
        centers: Class centres [K, D].
    """
    term = (features - centers.detach()[labels]).square().sum(1).mean() / 2
    counts = torch.zeros_like(centers[:, 0]).index_add_(0, labels, torch.ones_like(labels, dtype=centers.dtype))
    pull = (features.detach() - centers[labels]).square().sum(1) / (1 + counts[labels])
    return term, pull.mean() / 2
