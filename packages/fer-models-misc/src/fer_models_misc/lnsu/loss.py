"""The loss of LNSU-Net: smooth labels and attention consistency, both balanced by the rarity of the classes."""

from __future__ import annotations

import torch
from fer_core.plugin import Batch, FerError, Loss, Losses, Progress, TaskInfo, at_least_float32
from torch import Tensor, nn
from torch.nn import functional as F


class LNSULoss(Loss):
    """Smooth-label cross-entropy + `consistency` x attention consistency (Zhang et al., NeurIPS 2023).

    It runs the model twice, on the images and on their mirror images, and needs a model that returns `maps`
    [N, C, h, w], such as `lnsu`.

    Args:
        info: The task, with its `class_counts`.
        smoothing: Total probability of the wrong classes in the target.
        consistency: Weight of the attention consistency.
        joined: Run both views as one batch of twice the size, which gives the same result (without batch
            normalisation in the model) with half the launches on a GPU.

    Raises:
        FerError: A class has no training sample, or an option is out of range.
    """

    weights: Tensor
    targets: Tensor

    def __init__(
        self, info: TaskInfo, *, smoothing: float = 0.3, consistency: float = 0.1, joined: bool = False
    ) -> None:
        super().__init__()
        if not 0 <= smoothing < 1:
            raise FerError(f"loss.smoothing is {smoothing}, but it is a share below 1: the authors use 0.3")
        if consistency < 0:
            raise FerError(f"loss.consistency is {consistency}, but a loss cannot be rewarded: use 0 or more")
        weights = class_weights(info)
        self.register_buffer("weights", weights, persistent=False)  # both follow from the dataset
        self.register_buffer("targets", smooth_targets(weights, smoothing), persistent=False)
        self.consistency = consistency
        self.joined = joined

    def forward(self, model: nn.Module, batch: Batch, progress: Progress) -> Losses:
        """The sum as `loss`, its unweighted terms `smooth_labels` and `consistency`; and `logits`."""
        images = batch["image"]
        if self.joined:
            logits, both = self._run(model, torch.cat((images, images.flip(-1))))
            logits = logits[: len(images)]
            maps, mirrored = both.chunk(2)
        else:
            logits, maps = self._run(model, images)
            _, mirrored = self._run(model, images.flip(-1))
        smooth = F.cross_entropy(at_least_float32(logits), self.targets[batch["label"]])
        consistency = attention_consistency(at_least_float32(maps), at_least_float32(mirrored), self.weights)
        return {
            "loss": smooth + self.consistency * consistency,
            "smooth_labels": smooth,
            "consistency": consistency,
            "logits": logits,
        }

    def _run(self, model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
        output = model(images)
        if not {"logits", "maps"} <= output.keys() or output["maps"].shape[1] != len(self.weights):
            raise FerError(
                f"loss lnsu needs a model that returns logits and maps [N, {len(self.weights)}, h, w], and this "
                f"one returns {', '.join(output)}: train the model lnsu, or choose the loss cross_entropy"
            )
        return output["logits"], output["maps"]


def class_weights(info: TaskInfo) -> Tensor:
    """N / (10 n_c) for each class c with n_c of the N training samples: [C], in torch's default dtype.

    The 10 is the authors'. It sets the scale of the attention consistency and has no effect on the smooth labels.

    Raises:
        FerError: The counts are not known, or one of them is 0.
    """
    if len(info.class_counts) != info.num_classes:
        raise FerError(
            f"loss lnsu weighs {info.num_classes} classes by their training samples, and "
            f"{len(info.class_counts)} counts are given: pass class_counts, one a class"
        )
    empty = [name for name, count in zip(info.classes, info.class_counts, strict=True) if count <= 0]
    if empty:
        raise FerError(
            f"loss lnsu weighs a class by 1 / its training samples, and {', '.join(empty)} has none: leave the "
            "class out, hold out fewer samples, or choose the loss cross_entropy"
        )
    counts = torch.tensor(info.class_counts, dtype=torch.float64)
    return (counts.sum() / (10 * counts)).to(torch.get_default_dtype())


def smooth_targets(weights: Tensor, smoothing: float) -> Tensor:
    """Target of each class [C, C]: 1 - smoothing for itself, the rest divided in proportion to the weights."""
    exact = weights.double()
    others = exact.repeat(len(exact), 1).fill_diagonal_(0)
    shared = smoothing * others / others.sum(1, keepdim=True)
    return (shared + (1 - smoothing) * torch.eye(len(exact), dtype=exact.dtype)).to(weights.dtype)


def attention_consistency(maps: Tensor, mirrored: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean squared difference between the maps of images and of their mirror images, scalar.

    Args:
        maps: Class maps of the images [N, C, h, w].
        mirrored: Those of the images flipped left to right [N, C, h, w], as the model returned them.
        weights: Weight of each class [C]; their absolute size matters.
    """
    difference = (maps - mirrored.flip(-1)).square().mean((2, 3))
    return (difference * weights).sum(1).mean()  # autocast would compute a matrix product in half precision
