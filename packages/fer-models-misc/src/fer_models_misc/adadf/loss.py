"""Ada-DF's loss: cross-entropy of the auxiliary branch, divergence of the target branch, and ranked attentions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from fer_core import distributed
from fer_core.errors import FerError
from fer_core.losses import Loss
from fer_core.nn import at_least_float32
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from fer_core.losses.base import Scan
    from fer_core.types import Batch, Losses, Output, Progress, TaskInfo

NEEDED = {"logits", "auxiliary", "attention"}
FALLBACK_REST = 0.4
"""What the other classes of a fallback row share in the authors' code, whatever the threshold."""


class AdaDFLoss(Loss):
    """Three terms, two of them weighted by the epoch (Liu et al., ICASSP 2023, arXiv 2404.15714).

    The target of a face is mixed, by its attention, from what the auxiliary branch says of it and from the
    distribution of its class. The buffer `class_distributions` [C, C] holds the latter, one row a class; it is
    rebuilt after every epoch from what the auxiliary branch says of the training faces.

    Args:
        info: The task. Its `batch_size` divides the divergence and says how many attentions are ranked, also where
            every image is seen in several views; 0 takes the rows of the batch.
        threshold: A class's mean distribution counts if it gives that class at least this much.
        beta: Epoch, counted from 1, in which both branches have the weight 1.
        alpha: Weight of the divergence in every epoch, 1 - alpha that of the cross-entropy; None: by the epoch.
        max_weight: Share of the class's distribution in the target where the batch's attention is largest.
        min_weight: The same where it is smallest.
        rank_share: Share of the batch in the group of large attentions.
        rank_margin: By how much the means of the two groups should differ.
        label_smoothing: Weight of the uniform distribution in the target of the cross-entropy.
        fallback: Row of a class whose mean does not count. `upstream`: the threshold, and 0.4 shared by the other
            classes, as the authors' code has it. `normalised`: the others share 1 - threshold.
    """

    class_distributions: Tensor

    def __init__(
        self,
        info: TaskInfo,
        *,
        threshold: float = 0.7,
        beta: float = 3,
        alpha: float | None = None,
        max_weight: float = 1.0,
        min_weight: float = 0.2,
        rank_share: float = 0.7,
        rank_margin: float = 0.07,
        label_smoothing: float = 0.0,
        fallback: Literal["upstream", "normalised"] = "upstream",
    ) -> None:
        super().__init__()
        _check_shares({"threshold": threshold, "rank_share": rank_share})
        if beta <= 0:
            raise FerError(f"loss.beta is {beta}, but epochs count from 1: use a number above 0")
        if info.num_classes < 2:
            raise FerError("loss adadf tells classes apart, and the dataset has one: use two classes or more")
        self.batch_size = info.batch_size
        self.threshold = threshold
        self.beta = beta
        self.alpha = alpha
        self.max_weight = max_weight
        self.min_weight = min_weight
        self.rank_share = rank_share
        self.rank_margin = rank_margin
        self.label_smoothing = label_smoothing
        self.fallback_rest = FALLBACK_REST if fallback == "upstream" else 1 - threshold
        self.register_buffer("class_distributions", peaked_rows(info.num_classes, threshold, 1 - threshold))

    def from_output(self, output: Output, batch: Batch, progress: Progress) -> Losses:
        """The weighted sum as `loss`, its terms (unweighted) `cross_entropy`, `divergence`, `rank`; and `logits`.

        Images of several views [N, V, 3, H, W] are N x V rows of the batch; `logits` [N, C] are means over views.
        """
        if not output.keys() >= NEEDED:
            raise FerError(
                f"loss adadf needs a model that returns logits, auxiliary and attention, and this one returns "
                f"{', '.join(output)}: train the model adadf, or choose the loss cross_entropy"
            )
        logits, auxiliary = at_least_float32(output["logits"]), at_least_float32(output["auxiliary"])
        attention = at_least_float32(output["attention"])
        images, views = len(batch["label"]), len(logits) // len(batch["label"])
        labels = batch["label"].repeat_interleave(views)
        # What does not fill a batch (a remainder, a part of an accumulated one) counts as a smaller batch.
        size = min(self.batch_size, images) if self.batch_size else len(labels)
        cross_entropy = F.cross_entropy(auxiliary, labels, label_smoothing=self.label_smoothing)
        share = rescale(attention, self.min_weight, self.max_weight)
        target = torch.lerp(auxiliary.softmax(1), self.class_distributions.to(auxiliary.dtype)[labels], share)
        divergence = F.kl_div(logits.log_softmax(1), target, reduction="sum") / size
        rank = rank_loss(attention[:, 0], size, self.rank_share, self.rank_margin)
        # The epoch as a tensor: a compiled loss is one graph for all epochs.
        epoch = torch.as_tensor(progress.epoch + 1, dtype=logits.dtype)
        divergence_weight, cross_entropy_weight = self.weights(epoch)
        return {
            "loss": cross_entropy_weight * cross_entropy + divergence_weight * divergence + rank,
            "cross_entropy": cross_entropy,
            "divergence": divergence,
            "rank": rank,
            "logits": output["logits"].reshape(images, views, -1).mean(1),
        }

    def weights(self, epoch: Tensor) -> tuple[Tensor, Tensor] | tuple[float, float]:
        """Weights of the divergence and of the cross-entropy in `epoch`, counted from 1.

        At first the auxiliary branch leads, and the target branch follows it from far; after `beta` epochs the
        target branch leads.
        """
        if self.alpha is not None:
            return self.alpha, 1 - self.alpha
        early, late = F.relu(1 - epoch / self.beta), F.relu(1 - self.beta / epoch)
        return (-early.square()).exp(), (-late.square()).exp()

    def after_epoch(self, scan: Scan, progress: Progress) -> None:
        """Rebuild `class_distributions` from the auxiliary branch's softmax over the augmented training faces."""
        known = self.class_distributions
        # In double precision the order of the faces, hence the number of processes, is lost in rounding. The last
        # column says how many rows were added.
        sums = torch.zeros(len(known), len(known) + 1, dtype=torch.float64)
        for batch, output in scan():
            said = at_least_float32(output["auxiliary"]).softmax(1).cpu().double()
            labels = batch["label"].cpu().repeat_interleave(len(said) // len(batch["label"]))
            sums.index_add_(0, labels, F.pad(said, (0, 1), value=1.0))
        sums = distributed.all_sum(sums)
        means = (sums[:, :-1] / sums[:, -1:].clamp(min=1)).to(known)
        counts = means.diagonal() >= self.threshold
        fallback = peaked_rows(len(known), self.threshold, self.fallback_rest).to(known)
        known.copy_(torch.where(counts[:, None], means, fallback))


def peaked_rows(classes: int, own: float, rest: float) -> Tensor:
    """A matrix [C, C] with `own` on the diagonal and `rest` shared by the other entries of every row."""
    return torch.full((classes, classes), rest / (classes - 1)).fill_diagonal_(own)


def rescale(attention: Tensor, low: float, high: float) -> Tensor:
    """Attention [R, 1] moved linearly, so that the batch's least is `low` and its largest `high`.

    Where all are equal, which has the authors' code divide 0 by 0, they become `low`.
    """
    least, largest = attention.aminmax()
    span = (largest - least).clamp(min=torch.finfo(attention.dtype).tiny)
    return (attention - least) / span * (high - low) + low


def rank_loss(attention: Tensor, size: int, share: float, margin: float) -> Tensor:
    """How much less than `margin` the mean of large attentions exceeds that of small ones.

    Args:
        attention: One number a row [R].
        size: Images in a batch, at most R; the groups are the int(share x size) largest rows and the remaining
            number of smallest ones. With several views a row these leave out what lies between.
        share: Of the group of large attentions.
        margin: What the means should differ by.
    """
    large = int(share * size)
    if large == 0:  # a single image: there is nothing to rank
        return attention.sum() * 0
    ordered = attention.sort(descending=True).values
    return F.relu(ordered[large - size :].mean() - ordered[:large].mean() + margin)


def _check_shares(shares: dict[str, float]) -> None:
    for name, share in shares.items():
        if not 0 < share < 1:
            raise FerError(f"loss.{name} is {share}, which is no share: use a number between 0 and 1")
