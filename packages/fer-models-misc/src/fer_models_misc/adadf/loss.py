"""Ada-DF's loss: cross-entropy of the auxiliary branch, divergence of the target branch, and ranked attentions."""

from __future__ import annotations

from typing import Literal

import torch
from fer_core.plugin import (
    Batch,
    FerError,
    Loss,
    Losses,
    Output,
    Progress,
    Scan,
    TaskInfo,
    at_least_float32,
    distributed,
)
from torch import Tensor
from torch.nn import functional as F

NEEDED = {"logits", "auxiliary", "attention"}
FALLBACK_REST = 0.4
"""Total of the other classes in a fallback row of the authors' code, independent of the threshold."""


class AdaDFLoss(Loss):
    """Three terms, two of them weighted by the epoch (Liu et al., ICASSP 2023, arXiv 2404.15714).

    The target of a face interpolates, by its attention, between the auxiliary branch's prediction and the
    distribution of its class. The buffer `class_distributions` [C, C] holds the latter, one row per class; it is
    recomputed after every epoch from the auxiliary branch's predictions on the training faces.

    Args:
        info: The task. Its `batch_size` divides the divergence and sets how many attentions are ranked, even if
            every image has several views; 0 uses the number of rows of the batch.
        threshold: A class's mean distribution is used if its probability of that class is at least this.
        beta: Epoch, counted from 1, in which both branches have the weight 1.
        alpha: Weight of the divergence in every epoch, 1 - alpha that of the cross-entropy; None: by the epoch.
        max_weight: Weight of the class's distribution in the target for the largest attention of the batch.
        min_weight: The same for the smallest attention.
        rank_share: Fraction of the batch in the group of large attentions.
        rank_margin: Margin between the means of the two groups.
        label_smoothing: Weight of the uniform distribution in the target of the cross-entropy.
        fallback: Row of a class whose mean is not used. `upstream`: the threshold for the class, and 0.4 in total
            for the others, as in the authors' code. `normalised`: 1 - threshold in total for the others.
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
        # An incomplete batch (the last one, or a part under accumulation) counts as a smaller batch.
        size = min(self.batch_size, images) if self.batch_size else len(labels)
        cross_entropy = F.cross_entropy(auxiliary, labels, label_smoothing=self.label_smoothing)
        share = rescale(attention, self.min_weight, self.max_weight)
        target = torch.lerp(auxiliary.softmax(1), self.class_distributions.to(auxiliary.dtype)[labels], share)
        divergence = F.kl_div(logits.log_softmax(1), target, reduction="sum") / size
        rank = rank_loss(attention[:, 0], size, self.rank_share, self.rank_margin)
        # The epoch is a tensor, so that a compiled loss has one graph for all epochs.
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

        At first the cross-entropy of the auxiliary branch dominates; after `beta` epochs the divergence of the
        target branch does.
        """
        if self.alpha is not None:
            return self.alpha, 1 - self.alpha
        early, late = F.relu(1 - epoch / self.beta), F.relu(1 - self.beta / epoch)
        return (-early.square()).exp(), (-late.square()).exp()

    def after_epoch(self, scan: Scan, progress: Progress) -> None:
        """Rebuild `class_distributions` from the auxiliary branch's softmax over the augmented training faces."""
        known = self.class_distributions
        # In double precision the order of the faces, hence the number of processes, makes no difference. The last
        # column counts the rows that were added.
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
    """A matrix [C, C] with `own` on the diagonal and `rest` divided among the other entries of every row."""
    return torch.full((classes, classes), rest / (classes - 1)).fill_diagonal_(own)


def rescale(attention: Tensor, low: float, high: float) -> Tensor:
    """Attention [R, 1] rescaled linearly, so that its minimum is `low` and its maximum `high`.

    If all are equal, where the authors' code divides 0 by 0, they become `low`.
    """
    least, largest = attention.aminmax()
    span = (largest - least).clamp(min=torch.finfo(attention.dtype).tiny)
    return (attention - least) / span * (high - low) + low


def rank_loss(attention: Tensor, size: int, share: float, margin: float) -> Tensor:
    """Hinge loss: `margin` minus the difference between the means of large and of small attentions, at least 0.

    Args:
        attention: One value per row [R].
        size: Images in a batch, at most R; the groups are the int(share x size) largest rows and the remaining
            number of smallest ones. With several views these exclude the rows in between.
        share: Fraction of the group of large attentions.
        margin: Margin between the means.
    """
    large = int(share * size)
    if large == 0:  # a single image cannot be ranked
        return attention.sum() * 0
    ordered = attention.sort(descending=True).values
    return F.relu(ordered[large - size :].mean() - ordered[:large].mean() + margin)


def _check_shares(shares: dict[str, float]) -> None:
    for name, share in shares.items():
        if not 0 < share < 1:
            raise FerError(f"loss.{name} is {share}, which is not a share: use a number between 0 and 1")
