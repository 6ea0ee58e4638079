"""A trained model with its preprocessing, on a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from fer_core import distributed
from fer_core.data.loader import Loader
from fer_core.data.random import SampleRandom
from fer_core.data.transforms import Pipeline, build_pipeline
from fer_core.engine import Engine
from fer_core.errors import within
from fer_core.inference.fuse import fuse
from fer_core.inference.predict import logits_of
from fer_core.returned import check_form
from fer_core.weights.checkpoint import build_from_checkpoint

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from fer_core.types import Pack
    from fer_core.weights.header import Header


@dataclass(frozen=True)
class Network:
    """A trained model where it runs.

    Attributes:
        checkpoint: Its weight file.
        model: In eval mode, on the device of `engine`.
        header: Of the weight file.
        engine: Where it runs.
    """

    checkpoint: Path
    model: nn.Module
    header: Header
    engine: Engine

    @classmethod
    def load(cls, checkpoint: Path, engine: Engine, *, fast: bool = False) -> Network:
        """Read a weight file.

        Args:
            checkpoint: A `.safetensors` file that a training run or an import wrote.
            engine: Where it runs.
            fast: Use the model's inference form, which only predicts.

        Raises:
            FerError: The file is unusable, or its model is not installed.
        """
        model, header = build_from_checkpoint(checkpoint)
        if fast:
            model = _fused(model, header)
        engine.prepare(model)
        return cls(checkpoint, model, header, engine)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the logits."""
        return self.header.classes

    @property
    def temperature(self) -> float:
        """What logits are divided by."""
        return self.header.temperature

    @cached_property
    def pipeline(self) -> Pipeline:
        """The evaluation transforms."""
        with within(f"{self.checkpoint}: header"):
            return build_pipeline(self.header.preprocessing)

    def prepare(self, faces: Sequence[NDArray[np.uint8]]) -> Tensor:
        """The model's input, float32 [N, 3, H, W], of faces uint8 RGB [H, W, 3] or grey [H, W, 1], on the CPU."""
        # Evaluation transforms draw nothing; the numbers only complete the call.
        return self.pipeline.batch(faces, SampleRandom(0, 0, np.arange(len(faces))))

    def loader(
        self,
        pack: Pack,
        rows: NDArray[np.int64],
        labels: NDArray[np.int64],
        *,
        batch_size: int,
        workers: int | Literal["auto"] = "auto",
    ) -> Loader:
        """Batches of `rows` as this network reads them; `labels` are those of the whole pack."""
        return Loader(
            pack,
            rows,
            labels,
            pipeline=self.pipeline,
            batch_size=batch_size,
            sampler=None,
            seed=0,
            workers=workers,
            device=self.engine.device,
            process=(distributed.rank(), distributed.size()),
        )


@torch.inference_mode()
def _fused(model: nn.Module, header: Header) -> nn.Module:
    """The inference form of a model. Raises FerError unless it gives the same logits for an image."""
    size = header.preprocessing.input_size
    image = torch.linspace(-1, 1, 3 * size * size).view(1, 3, size, size)
    before = logits_of(model.eval(), image)
    form = fuse(model, header.model_name)
    output = form(image)
    check_form(form, before, output.get("logits") if isinstance(output, dict) else output)
    return form
