"""Out of memory: the batch size that fits, found by trying smaller ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from fer_core import distributed
from fer_core.errors import FerError
from fer_core.types import TARGET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fer_core.training.setup import Setup
    from fer_core.types import Progress

SMALLER = "use train.recompute=true, a smaller data.input_size, another model or another --device"


def out_of_memory(error: BaseException) -> bool:
    """Whether an accelerator, or the host, ran out of memory."""
    refused = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return refused or isinstance(error, torch.OutOfMemoryError)


def smaller_batch(setup: Setup, progress: Progress, extra: Sequence[str] = ()) -> FerError:
    """The error that names a setting with which the pass fits in memory.

    Args:
        setup: Of the training. Its model's mode says whether training or predicting ran out of memory.
        progress: How far training is.
        extra: Names of the trainer's further loaders.
    """
    # Predicting puts the model into eval mode, and an error leaves it there.
    if setup.task.model.training:
        return _train_smaller(setup, progress, extra)
    return _evaluate_smaller(setup, progress)


def _train_smaller(setup: Setup, progress: Progress, extra: Sequence[str]) -> FerError:
    size = setup.config.data.batch_size // distributed.size()
    parts = setup.config.train.accumulate
    what = f"{setup.engine.device} ran out of memory with {max(size // parts, 1)} images at once"
    while size // (parts := parts * 2) >= 2:  # batch normalisation needs two
        images = -(-size // parts)
        if _fits(setup, progress, images, extra, training=True):
            return FerError(
                f"{what}; {images} fit: use train.accumulate={parts}, which computes the same batch in parts, or "
                f"data.batch_size={images * distributed.size()}"
            )
    return FerError(f"{what}; two do not fit either: {SMALLER}")


def _evaluate_smaller(setup: Setup, progress: Progress) -> FerError:
    section = setup.config.data
    images = section.eval_batch_size or section.batch_size
    what = f"{setup.engine.device} ran out of memory when evaluating {images} images at once"
    while (images := images // 2) >= 1:
        if _fits(setup, progress, images, (), training=False):
            return FerError(f"{what}; {images} fit: use data.eval_batch_size={images}, which changes no result")
    return FerError(f"{what}; one does not fit either: {SMALLER}")


def _fits(setup: Setup, progress: Progress, images: int, extra: Sequence[str], *, training: bool) -> bool:
    """Whether a pass over a batch of this size fits in memory."""
    size, classes, engine = setup.config.data.input_size, setup.info.num_classes, setup.engine
    rows = np.zeros(images, dtype=np.int64)
    batch = engine.place(
        {
            "image": torch.zeros(images, 3, size, size),
            "label": torch.zeros(images, dtype=torch.int64),
            "index": torch.zeros(images, dtype=torch.int64),
            "distribution": torch.full((images, classes), 1 / classes),
            "soft_target": torch.full((images, classes), 1 / classes),
            **{TARGET + name: torch.from_numpy(of.take(rows).values) for name, of in setup.data.targets.items()},
            **{f"{name}_image": torch.zeros(images, 3, size, size) for name in extra},
            **{f"{name}_index": torch.zeros(images, dtype=torch.int64) for name in extra},
        }
    )
    setup.task.zero_grad(set_to_none=True)
    engine.device.free_memory()
    setup.task.train(training)
    try:
        with engine.autocast(), torch.set_grad_enabled(training):
            if not training:
                setup.task.model(batch["image"])
                return True
            losses = setup.task(batch, progress)
        engine.backward(losses["loss"])
    except RuntimeError as error:
        if out_of_memory(error):
            return False
        raise
    return True
