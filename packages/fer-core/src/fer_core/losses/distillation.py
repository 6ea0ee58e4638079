"""Learning from soft targets: the probabilities of trained models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from torch import Tensor
from torch.nn import functional as F

from fer_core.components import Names
from fer_core.errors import FerError
from fer_core.losses.base import Loss
from fer_core.losses.label import build_base
from fer_core.nn import at_least_float32
from fer_core.records import Fraction, Positive

if TYPE_CHECKING:
    from fer_core.losses.base import Scan
    from fer_core.types import Batch, Losses, Output, Progress, TaskInfo


class Distillation(Loss):
    """A loss of the label, and the distance to the teachers' probabilities (Hinton et al. 2015, arXiv:1503.02531).

    (1 - weight) times the base's loss plus weight times T^2 KL(p || q), logged as `soft_targets`: p are the soft
    targets of the batch, q the probabilities of the `logits`, both at the temperature T, that is to the power of
    1 / T and normalised again.

    Args:
        info: The task.
        base: Name of the loss of the label, which gets the options that are not named here.
        weight: Of the soft targets, 0 to 1.
        temperature: T, above 0; more than 1 shows more of the unlikely classes.
        options: Of `base`.

    Raises:
        FerError: `base` calls the model itself.
    """

    soft_targets = True

    def __init__(
        self,
        info: TaskInfo,
        *,
        base: Annotated[str, Names("losses")] = "cross_entropy",
        weight: Fraction = 0.5,
        temperature: Positive = 1.0,
        **options: Any,
    ) -> None:
        super().__init__()
        self.base = build_base("distillation", base, options, info)
        self.parameters_vary = self.base.parameters_vary
        self.weight, self.temperature = weight, temperature

    def from_output(self, output: Output, batch: Batch, progress: Progress) -> Losses:
        """The base's losses, `loss` mixed with that of the soft targets, `soft_target` [N, C] of the batch."""
        if "soft_target" not in batch:
            raise FerError("loss distillation needs soft targets: name tables of predictions in data.soft_targets")
        losses = dict(self.base.from_output(output, batch, progress))
        term = soft_term(output["logits"], batch["soft_target"], self.temperature)
        losses["loss"] = (1 - self.weight) * losses["loss"] + self.weight * term
        return losses | {"soft_targets": term}

    def after_epoch(self, scan: Scan, progress: Progress) -> None:
        """What the base does between epochs."""
        self.base.after_epoch(scan, progress)


def soft_term(logits: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """T^2 KL(p || q), the mean over the batch, in the precision of the logits, at least float32.

    Args:
        logits: [N, C].
        targets: Probabilities [N, C].
        temperature: T.
    """
    scores = at_least_float32(logits) / temperature
    logs = targets.to(scores.dtype).clamp(min=1e-12).log() / temperature
    return temperature**2 * F.kl_div(
        scores.log_softmax(1), logs.log_softmax(1), reduction="batchmean", log_target=True
    )
