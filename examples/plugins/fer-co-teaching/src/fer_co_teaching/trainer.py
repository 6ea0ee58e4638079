"""Co-teaching (Han et al., NeurIPS 2018, https://arxiv.org/abs/1804.06872)."""

from math import ceil
from typing import Annotated, Any

import torch
from fer_core.plugin import Batch, Losses, Progress, SampleBuffer, Trainer
from pydantic import Field
from torch.nn import functional as F


class CoTeaching(Trainer):
    """Two networks, each of which learns from the samples on which the other one has the smallest losses.

    The first one is evaluated and saved. The column `extra.left_out` of `samples.csv` says how often the second
    network left a training sample out: those with high counts have doubtful labels.

    Args:
        *given: What the framework gives a trainer.
        noise: Share of wrong labels, which is left out of every batch.
        gradual: Epochs in which the share that is left out rises from 0.
    """

    def __init__(
        self,
        *given: Any,
        noise: Annotated[float, Field(gt=0, lt=1)] = 0.2,
        gradual: Annotated[int, Field(ge=1)] = 10,
    ) -> None:
        super().__init__(*given)
        self.noise, self.gradual = noise, gradual
        self.second = self.add_model("second")
        self.left_out = self.add_module("left_out", SampleBuffer(self.info.samples, dtype=torch.int64))

    def training_step(self, batch: Batch, progress: Progress) -> Losses:
        """The sum of both networks' cross-entropy over the samples that the other one chose."""
        logits = [model(batch["image"])["logits"].float() for model in (self.model, self.second)]
        first, second = (F.cross_entropy(found, batch["label"], reduction="none") for found in logits)
        share = self.noise * min(progress.epoch / self.gradual, 1.0)
        kept = ceil((1 - share) * len(first))
        of_first, of_second = (losses.detach().argsort(stable=True) for losses in (first, second))
        dropped = batch["index"][of_second[kept:]]
        self.left_out[dropped] = self.left_out[dropped] + 1
        loss = first[of_second[:kept]].mean() + second[of_first[:kept]].mean()
        return {"loss": loss, "logits": logits[0]}
