"""Mean teacher (Tarvainen and Valpola, NeurIPS 2017, https://arxiv.org/abs/1703.01780)."""

import copy
import math
from typing import Annotated, Any

import torch
from fer_core.plugin import Batch, Batches, Losses, Progress, Trainer
from pydantic import Field
from torch import nn
from torch.nn import functional as F


class MeanTeacher(Trainer):
    """A student that also agrees with its own average, the teacher, on images without labels.

    These are the training images that `data.fraction` leaves out; student and teacher see each with another
    augmentation. The teacher is the model that is evaluated and saved.

    Args:
        *given: What the framework gives a trainer.
        decay: Of the average; it is shorter in the beginning, where the mean of all students so far is closer.
        weight: Of the consistency, reached after the ramp-up.
        ramp_up: Share of the training in which the weight rises, as exp(-5 (1 - t)^2).
    """

    def __init__(
        self,
        *given: Any,
        decay: Annotated[float, Field(gt=0, lt=1)] = 0.999,
        weight: Annotated[float, Field(ge=0)] = 10.0,
        ramp_up: Annotated[float, Field(gt=0, le=1)] = 0.2,
    ) -> None:
        super().__init__(*given)
        self.decay, self.weight, self.ramp_up = decay, weight, ramp_up
        self.teacher = self.add_module("teacher", copy.deepcopy(self.model).requires_grad_(False))

    def extra_loaders(self) -> dict[str, Batches]:
        """Two views of the images without labels."""
        return {name: self.make_loader(self.unlabelled) for name in ("student", "teacher")}

    def training_step(self, batch: Batch, progress: Progress) -> Losses:
        """The configured loss, and the mean squared difference of the two predictions."""
        losses = super().training_step(batch, progress)
        with torch.no_grad():
            target = self.teacher(batch["teacher_image"])["logits"].float().softmax(dim=1)
        found = self.model(batch["student_image"])["logits"].float().softmax(dim=1)
        consistency = F.mse_loss(found, target)
        done = min(progress.step / (self.ramp_up * progress.steps), 1.0)
        weight = self.weight * math.exp(-5 * (1 - done) ** 2)
        return losses | {"loss": losses["loss"] + weight * consistency, "consistency": consistency}

    @torch.no_grad()
    def after_step(self, progress: Progress) -> None:
        """Move the teacher towards the student."""
        decay = min(self.decay, progress.step / (progress.step + 1))
        for average, value in zip(self.teacher.parameters(), self.model.parameters(), strict=True):
            average.lerp_(value, 1 - decay)

    def product_model(self) -> nn.Module:
        """The teacher."""
        return self.teacher
