"""Mixup and CutMix, for every model and loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from fer_core.errors import FerError
from fer_core.losses import Loss, SampleBuffer
from fer_core.records import Fraction, NotNegative
from fer_core.training.trainer import Trainer

if TYPE_CHECKING:
    from torch import Tensor

    from fer_core.training.setup import Setup
    from fer_core.types import Batch, Losses, Progress

SHARE = "mix_share"
"""Key of a mixed batch: the share of an image's own pixels, float32 []."""
PARTNER = "mix_"
"""What the keys of the partners' targets begin with."""


class Mixing(Trainer):
    """The `mix` trainer: every image is mixed with another one of its batch, and so are their losses.

    With the share s of its own pixels, an image's loss is s times that of its own targets plus (1 - s) times that
    of its partner's: every target counts, of extra heads too, and a loss need not know of it. Where a loss is
    linear in its target, as cross-entropy is, this is the loss of the mixed targets.

    s is drawn from Beta(alpha, alpha) once for a batch, or for each part of it under `train.accumulate` and on
    several processes, whose images are mixed with each other.

    Mixup (Zhang et al. 2018, arXiv:1710.09412) adds the pixels, s x + (1 - s) x'. The larger share is the image's
    own, so `label` is what it mostly shows; since partners are a random permutation, this gives the same images.
    CutMix (Yun et al. 2019, arXiv:1905.04899) puts a rectangle of x' into x, and s is the share that is left,
    large or small, so `label` may be what an image shows little of.

    Args:
        setup: What a trainer is built from.
        mixup: alpha of mixup; 0: no mixup.
        cutmix: alpha of CutMix; 0: no CutMix. With both, each batch has one of them, each half of the time.
        probability: How often a batch is mixed at all.

    Raises:
        FerError: Both are 0, or the loss keeps something of each sample, which a mixed image does not have.
    """

    def __init__(
        self,
        setup: Setup,
        *,
        mixup: NotNegative = 0.2,
        cutmix: NotNegative = 0.0,
        probability: Fraction = 1.0,
    ) -> None:
        super().__init__(setup)
        self.alphas = {name: alpha for name, alpha in (("mixup", mixup), ("cutmix", cutmix)) if alpha}
        self.probability = probability
        if not self.alphas:
            raise FerError(
                "train.trainer.mixup and cutmix are both 0: give one of them, or use the trainer standard"
            )
        if any(isinstance(module, SampleBuffer) for module in self.loss.modules()):
            raise FerError(
                f"the loss {self.config.loss.name} keeps values of each sample, which mixed images do not have: "
                "use another loss, or the trainer standard"
            )

    def prepare(self, batch: Batch, seed: int) -> Batch:
        """The batch with mixed images, and with the targets of their partners."""
        random = np.random.default_rng(seed)
        if random.random() >= self.probability:
            return batch
        images, targets = batch["image"], self._targets(batch)
        name = list(self.alphas)[int(random.integers(len(self.alphas)))]
        share = float(random.beta(self.alphas[name], self.alphas[name]))
        partners = torch.from_numpy(random.permutation(len(images))).to(images.device)
        if name == "mixup":
            share = max(share, 1 - share)
            images = images.lerp(images[partners], 1 - share)
        else:
            images, share = cut_and_paste(images, images[partners], share, random)
        mixed = {PARTNER + key: batch[key][partners] for key in targets}
        return {**batch, **mixed, "image": images, SHARE: torch.full((), share, device=images.device)}

    def training_step(self, batch: Batch, progress: Progress) -> Losses:
        """The losses of both targets of each image, mixed as its pixels are."""
        if SHARE not in batch:
            return super().training_step(batch, progress)
        share = batch[SHARE]
        own = {key: value for key, value in batch.items() if not key.startswith(PARTNER)}
        partners = {key: batch.get(PARTNER + key, value) for key, value in own.items()}
        if type(self.loss).forward is Loss.forward:
            output = self.model(batch["image"])
            losses, others = (self.loss.from_output(output, each, progress) for each in (own, partners))
        else:
            losses, others = (self.loss(self.model, each, progress) for each in (own, partners))
        terms = [name for name, value in losses.items() if name in others and value.dim() == 0]
        return {**losses, **{name: share * losses[name] + (1 - share) * others[name] for name in terms}}

    def _targets(self, batch: Batch) -> list[str]:
        """Keys of what belongs to an image besides its pixels; further loaders have images of their own."""
        further = tuple(f"{name}_" for name in self.loaders)
        return [key for key in batch if key != "image" and not (further and key.startswith(further))]


def cut_and_paste(
    images: Tensor, others: Tensor, share: float, random: np.random.Generator
) -> tuple[Tensor, float]:
    """CutMix: a rectangle of `others` in the place of that of `images`, and the share of pixels that stays.

    Its sides are those of the images times the root of 1 - `share`, its centre is anywhere; what is outside is cut
    off.

    Args:
        images: float [N, C, H, W].
        others: Likewise.
        share: Of the pixels, that should stay.
        random: Draws the centre.
    """
    height, width = images.shape[-2:]
    spans = []
    for size in (height, width):
        half, centre = size * (1 - share) ** 0.5 / 2, random.uniform(0, size)
        spans.append((round(max(centre - half, 0)), round(min(centre + half, size))))
    (top, bottom), (left, right) = spans
    mixed = images.clone()
    mixed[..., top:bottom, left:right] = others[..., top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)
