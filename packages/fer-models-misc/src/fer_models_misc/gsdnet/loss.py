"""GSDNet's loss: cross-entropy of the last exit, and distillation from each exit to the one before it."""

from __future__ import annotations

import torch
from fer_core.plugin import Batch, FerError, Loss, Losses, Output, Progress, TaskInfo, at_least_float32
from torch import Tensor
from torch.nn import functional as F

LOGITS = ("logits_1", "logits_2", "logits_3", "logits")
FEATURES = ("features_1", "features_2", "features_3", "features_4")


class GSDNetLoss(Loss):
    """CE(z4, y) + sum over s = 3, 2, 1 of `distance` |f_s - f_t| + `soft` H(softmax(z_t / T), softmax(z_s / T)).

    The teacher of exit s is the next deeper exit t = s + 1, without gradient (Zhang et al. 2024). |.| is the norm
    of the difference [N, 128] over the whole batch, not a mean: it grows with the square root of the batch size.
    H is the mean cross-entropy, without a factor T^2.

    Args:
        info: The task.
        distance: Weight of the distance between features.
        soft: Weight of the cross-entropy between softened probabilities.
        temperature: T.
        aliased: Replace z_1 and f_1 by the sums over all four exits, as the authors' code does by adding in place.
            Then this pair's gradient reaches all exits. False: each exit learns from the next one only, as
            described in the paper, and `fc_4` gets no gradient.
    """

    def __init__(
        self,
        info: TaskInfo,
        *,
        distance: float = 0.01,
        soft: float = 0.3,
        temperature: float = 3.0,
        aliased: bool = True,
    ) -> None:
        super().__init__()
        if temperature <= 0:
            raise FerError(f"loss.temperature is {temperature}, but it divides: use a number above 0, such as 3")
        self.distance = distance
        self.soft = soft
        self.temperature = temperature
        self.aliased = aliased

    def from_output(self, output: Output, batch: Batch, progress: Progress) -> Losses:
        """The sum as `loss`, its unweighted terms and `logits`.

        The terms are `cross_entropy` and, for the students s = 1, 2, 3, `distance_s` and `soft_s`.
        """
        _check(output)
        logits = [at_least_float32(output[name]) for name in LOGITS]
        features = [at_least_float32(output[name]) for name in FEATURES]
        teachers = list(zip(logits, features, strict=True))
        students = [*teachers]
        if self.aliased:
            students[0] = (sum_up(logits), sum_up(features))
        cross_entropy = F.cross_entropy(logits[-1], batch["label"])
        loss, terms = cross_entropy, {"cross_entropy": cross_entropy}
        for s in (3, 2, 1):
            (z, f), (teacher_z, teacher_f) = students[s - 1], teachers[s]
            terms[f"distance_{s}"] = torch.linalg.vector_norm(f - teacher_f.detach())
            terms[f"soft_{s}"] = soft_cross_entropy(z, teacher_z.detach(), self.temperature)
            loss = loss + self.distance * terms[f"distance_{s}"] + self.soft * terms[f"soft_{s}"]
        return {"loss": loss, **terms, "logits": output["logits"]}


def sum_up(tensors: list[Tensor]) -> Tensor:
    """Sum of tensors of one shape, first to last."""
    total = tensors[0]
    for tensor in tensors[1:]:
        total = total + tensor
    return total


def soft_cross_entropy(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Mean over the batch of -sum_c softmax(teacher / T)_c log softmax(logits / T)_c; both are [N, C]."""
    return F.cross_entropy(logits / temperature, (teacher / temperature).softmax(1))


def _check(output: Output) -> None:
    if not {*LOGITS, *FEATURES} <= output.keys():
        raise FerError(
            f"loss gsdnet needs the logits and features of 4 exits, but this model returns {', '.join(output)}: "
            "train the model gsdnet with exits: true, or choose the loss cross_entropy"
        )
