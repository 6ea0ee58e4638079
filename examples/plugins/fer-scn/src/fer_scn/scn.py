"""Self-Cure Network (Wang et al., CVPR 2020, https://arxiv.org/abs/2002.10392)."""

from itertools import chain, pairwise
from typing import Annotated

import torch
from fer_core.plugin import Batch, Loss, Losses, Output, Progress, SampleBuffer, TaskInfo
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

Share = Annotated[float, Field(ge=0, lt=1)]


class SCN(nn.Module):
    """Three convolutions, and beside the classifier a head for the importance; the paper has a ResNet-18."""

    def __init__(self, info: TaskInfo, *, width: Annotated[int, Field(ge=1)] = 24) -> None:
        super().__init__()
        steps = pairwise((3, width, 2 * width, 4 * width))
        layers = [(nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2)) for a, b in steps]
        self.body = nn.Sequential(*chain(*layers))
        self.importance = nn.Linear(4 * width, 1)
        self.head = nn.Linear(4 * width * (info.input_size // 8) ** 2, info.num_classes)

    def forward(self, images: Tensor) -> Output:
        """`logits` [N, K] and `importance` [N] of images [N, 3, S, S]."""
        maps = self.body(images)
        importance = self.importance(maps.mean((2, 3))).squeeze(1).float().sigmoid()
        return {"logits": self.head(maps.flatten(1)), "importance": importance}


class SelfCure(Loss):
    """Logits weighed by importance, a margin between important samples and the others, and corrected labels.

    As in the authors' code any label of a batch may be corrected; the paper corrects the less important ones only.

    Args:
        info: Classes and training samples.
        high: Share of a batch that is important.
        margin: Between the mean importance of the two groups.
        relabel_from: Epoch from which labels are corrected.
        certainty: How much more probable than its label another class must be.
        memory: Weight of a sample's earlier predictions against the new one. The paper has none.
    """

    def __init__(
        self,
        info: TaskInfo,
        *,
        high: Share = 0.7,
        margin: Share = 0.15,
        relabel_from: Annotated[int, Field(ge=0)] = 10,
        certainty: Share = 0.2,
        memory: Share = 0.7,
    ) -> None:
        super().__init__()
        self.high, self.margin = high, margin
        self.relabel_from, self.certainty, self.memory = relabel_from, certainty, memory
        self.labels = SampleBuffer(info.samples, dtype=torch.int64, fill=-1)
        self.predictions = SampleBuffer(info.samples, (info.num_classes,))

    def from_output(self, output: Output, batch: Batch, progress: Progress) -> Losses:
        """`loss`, and the terms `ranking` and `corrected`, the share of labels that differ from the given ones."""
        index, labels = batch["index"], self.labels[batch["index"]]
        label = torch.where(labels < 0, batch["label"], labels)
        logits = output["importance"][:, None] * output["logits"].float()
        ranked = output["importance"].sort(descending=True, stable=True).values
        important, others = ranked.tensor_split([round(self.high * len(ranked))])
        ranking = F.relu(self.margin - important.mean() + others.mean())
        now = logits.detach().softmax(dim=1)
        likely = self.predictions[index] = self.predictions[index].lerp(now, 1 - self.memory)
        if progress.epoch >= self.relabel_from:
            best, found = likely.max(dim=1)
            sure = best - likely.gather(1, label[:, None]).squeeze(1) > self.certainty
            self.labels[index[sure]] = found[sure]
        changed = (label != batch["label"]).float().mean()
        loss = ranking + F.cross_entropy(logits, label)
        return {"loss": loss, "ranking": ranking, "corrected": changed, "logits": logits}
