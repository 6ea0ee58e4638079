"""A model's probabilities for every face of a loader, in the loader's order."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fer_core import distributed
from fer_core.errors import FerError
from fer_core.returned import check_output
from fer_core.types import HEAD

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor, nn

    from fer_core.data.loader import Loader
    from fer_core.engine import Engine
    from fer_core.types import Output


VIEWS_AT_ONCE = 32
"""Views that are predicted in one batch."""


@dataclass(frozen=True)
class Predictions:
    """What a model predicts for some faces.

    Attributes:
        rows: Row numbers of the dataset's table [N].
        labels: Indices of classes [N].
        probabilities: float32 [N, C].
        heads: By the name of the extra target, probabilities float32 [N, K] or numbers float32 [N].
        seconds: That predicting took, with reading the faces.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    heads: Mapping[str, NDArray[np.float32]]
    seconds: float = 0.0


def logits_of(model: nn.Module, images: Tensor) -> Tensor:
    """Logits float32 [N, C] of images [N, C, H, W]; several views [N, V, C, H, W] are averaged."""
    return outputs_of(model, images)["logits"]


def outputs_of(model: nn.Module, images: Tensor) -> Output:
    """`logits` and the heads of a model as float32; those of several views are averaged."""
    if images.dim() == 5:
        faces, views = images.shape[:2]
        # in parts, so that views take no more device memory than the same number of faces
        parts = [outputs_of(model, part) for part in torch.split(images.flatten(0, 1), max(faces, VIEWS_AT_ONCE))]
        joined = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        return {name: each.view(faces, views, *each.shape[1:]).mean(1) for name, each in joined.items()}
    output = model(images)
    check_output(model, output, len(images))
    return {name: each.float() for name, each in output.items() if name == "logits" or name.startswith(HEAD)}


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
def predict(
    model: nn.Module, loader: Loader, engine: Engine, temperatures: Mapping[str, float] | None = None
) -> Predictions:
    """Run `model` in eval mode over one pass of `loader`; its mode is restored afterwards.

    Probabilities are softmax(logits / temperature), where `temperatures` has one for the output.
    With several processes each runs its loader's share, and all get all of it, every face once, sorted by row.
    """
    began = time.perf_counter()
    fitted = temperatures or {}
    was_training = model.training
    model.eval()
    parts: dict[str, list[Tensor]] = {}
    for number, cpu_batch in enumerate(loader.epoch(0)):
        batch = engine.place(cpu_batch)
        with engine.autocast(), engine.compiled(loader.whole(number)):
            outputs = outputs_of(model, batch["image"])
        outputs = {
            name: each if each.dim() == 1 else (each / fitted.get(name, 1)).softmax(dim=1)
            for name, each in outputs.items()
        }
        for name, each in {"index": batch["index"], "label": batch["label"], **outputs}.items():
            parts.setdefault(name, []).append(each)
    model.train(was_training)
    columns: dict[str, NDArray[Any]] = {name: torch.cat(part).cpu().numpy() for name, part in parts.items()}
    if distributed.size() > 1:
        shares = [share for share in distributed.gather(columns) if share]  # a process may have had no face
        columns = {name: np.concatenate([share[name] for share in shares]) for name in shares[0]}
    rows = loader.rows[columns["index"]]
    order = rows.argsort(kind="stable")
    heads = {name.removeprefix(HEAD): each[order] for name, each in columns.items() if name.startswith(HEAD)}
    seconds = time.perf_counter() - began
    return Predictions(rows[order], columns["label"][order], columns["logits"][order], heads, seconds)
