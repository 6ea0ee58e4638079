"""A model's probabilities for every face of a loader, in the loader's order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fer_core import distributed
from fer_core.errors import FerError
from fer_core.returned import check_output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor, nn

    from fer_core.data.loader import Loader
    from fer_core.engine import Engine


VIEWS_AT_ONCE = 32
"""Views that are predicted in one batch."""


@dataclass(frozen=True)
class Predictions:
    """`rows` [N] are row numbers of the dataset's table, `labels` [N], `probabilities` float32 [N, C]."""

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]


def logits_of(model: nn.Module, images: Tensor) -> Tensor:
    """Logits float32 [N, C] of images [N, C, H, W]; several views [N, V, C, H, W] are averaged."""
    if images.dim() == 5:
        faces, views = images.shape[:2]
        # in parts, so that views take no more device memory than the same number of faces
        parts = torch.split(images.flatten(0, 1), max(faces, VIEWS_AT_ONCE))
        return torch.cat([logits_of(model, part) for part in parts]).view(faces, views, -1).mean(1)
    output = model(images)
    check_output(model, output, len(images))
    logits: Tensor = output["logits"]
    return logits.float()


def check_finite(probabilities: ArrayLike, what: str, names: Sequence[str] = ()) -> None:
    """Reject predictions that are not finite.

    Args:
        probabilities: [N, C].
        what: Whose predictions they are, for the message.
        names: Of the images, [N].

    Raises:
        FerError: A probability is not finite.
    """
    bad = ~np.isfinite(np.asarray(probabilities)).all(axis=1)
    if bad.any():
        where = f", the first is {names[int(bad.argmax())]}" if names else ""
        raise FerError(
            f"{what} gives no finite probabilities for {bad.sum()} of {len(bad)} images{where}: its weights "
            "diverged, or overflow in this precision; try --precision fp32, or use other weights"
        )


@torch.inference_mode()
def predict(model: nn.Module, loader: Loader, engine: Engine, temperature: float = 1.0) -> Predictions:
    """Run `model` in eval mode over one pass of `loader`; its mode is restored afterwards.

    Probabilities are softmax(logits / `temperature`).
    With several processes each runs its loader's share, and all get all of it, every face once, sorted by row.
    """
    was_training = model.training
    model.eval()
    numbers, labels, probabilities = [], [], []
    for cpu_batch in loader.epoch(0):
        batch = engine.place(cpu_batch)
        with engine.autocast():
            logits = logits_of(model, batch["image"])
        numbers.append(batch["index"])
        labels.append(batch["label"])
        probabilities.append((logits / temperature).softmax(dim=1))
    model.train(was_training)
    columns = _columns(numbers, labels, probabilities)
    if distributed.size() > 1:
        shares = [share for share in distributed.gather(columns) if share is not None]
        columns = tuple(np.concatenate(column) for column in zip(*shares, strict=True))
    assert columns is not None
    rows = loader.rows[columns[0]]
    order = rows.argsort(kind="stable")
    return Predictions(rows[order], *(column[order] for column in columns[1:]))


def _columns(*parts: list[Tensor]) -> tuple[NDArray[Any], ...] | None:
    """What was predicted, as arrays; None for a process that had no face."""
    return tuple(torch.cat(part).cpu().numpy() for part in parts) if parts[0] else None
