"""A trained model with its preprocessing, on a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from torch import Tensor, nn

from fer_core import distributed
from fer_core.card import LABEL
from fer_core.data.loader import Loader
from fer_core.data.random import SampleRandom
from fer_core.data.transforms import Pipeline, build_pipeline
from fer_core.engine import Engine
from fer_core.errors import FerError, nearest, within
from fer_core.inference.fuse import fuse_checked, has_form
from fer_core.machine import return_freed_memory
from fer_core.runs.resolve import choose_weights
from fer_core.types import HEAD, Output
from fer_core.weights.checkpoint import build_from_checkpoint

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
    def load(
        cls, checkpoint: Path, engine: Engine, *, fast: bool = False, heads: bool = False, head: str = LABEL
    ) -> Network:
        """Read a weight file.

        Args:
            checkpoint: A `.safetensors` file that a training run or an import wrote.
            engine: Where it runs.
            fast: Use the model's inference form, which only predicts, unless the engine compiles.
            heads: Keep the heads for extra targets, which an inference form lacks.
            head: The head whose logits, classes and temperature the network has.

        Raises:
            FerError: The file is unusable, its model is not installed, or it has no such head for classes.
        """
        model, header = build_from_checkpoint(checkpoint)
        if head != LABEL:
            header = _header_of(head, header, checkpoint)
            model = Headed(model, head)
        engine.prepare(model)
        whole = head != LABEL or (heads and header.targets)
        if fast and not whole and has_form(header.model_name, engine):
            size = header.preprocessing.input_size
            model = fuse_checked(model, header.model_name, size, engine.device.torch_device)
            engine.prepare(model)
            return_freed_memory()
        return cls(checkpoint, model, header, engine)

    @classmethod
    def choose(cls, place: str | Path, engine: Engine, *, fast: bool = False, head: str | None = None) -> Network:
        """As `load`, of weights as `resolve_weights` takes them; `head` None means that of their card."""
        found = choose_weights(place)
        return cls.load(found.path, engine, fast=fast, head=found.head if head is None else head)

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


class Headed(nn.Module):
    """A model that predicts by one of its further heads."""

    def __init__(self, model: nn.Module, head: str) -> None:
        super().__init__()
        self.model, self.head = model, head

    def forward(self, images: Tensor) -> Output:
        """`logits` of the head, and all else that the model returns."""
        output: Output = self.model(images)
        if HEAD + self.head not in output:
            raise FerError(f"the model has no head {self.head}, though its weights know that target: use another")
        return output | {"logits": output[HEAD + self.head]}


def _header_of(head: str, header: Header, checkpoint: Path) -> Header:
    """The header as if the head were the label. Raises FerError unless it is a head for classes."""
    heads = [name for name, classes in header.targets.items() if classes]
    if head not in heads:
        raise FerError(f"{checkpoint} has no head {head} for classes: {nearest(head, [LABEL, *heads])}")
    calibration = header.calibration
    if calibration is not None:
        fitted = calibration.heads.get(head)
        calibration = (
            None if fitted is None else calibration.model_copy(update={"temperature": fitted.temperature})
        )
    return header.model_copy(update={"classes": header.targets[head], "calibration": calibration})
