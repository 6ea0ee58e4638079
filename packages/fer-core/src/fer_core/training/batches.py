"""Batches of a training: joined from its loaders, cut into parts, and what is noted of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fer_core.training.state import Batches, Position
    from fer_core.types import Batch, Losses


def rest_of_epoch(loader: Batches, extra: Mapping[str, Batches], position: Position) -> Iterator[Batch]:
    """The batches of an epoch from `position` on, each with `NAME_image` and `NAME_index` of every extra loader.

    Which ones those are depends on the step, so a resumed run is given what an undisturbed one would be.
    """
    further = {name: _endless(other, position.step) for name, other in extra.items()}
    for batch in loader.epoch(position.epoch, start=position.batch):
        for name, batches in further.items():
            more = next(batches)
            batch |= {f"{name}_image": more["image"], f"{name}_index": more["index"]}
        yield batch


def _endless(loader: Batches, step: int) -> Iterator[Batch]:
    epoch, start = divmod(step, len(loader))
    while True:
        yield from loader.epoch(epoch, start=start)
        epoch, start = epoch + 1, 0


def split(batch: Batch, parts: int) -> list[Batch]:
    """Micro-batches of nearly equal size, each of at least two images where there are as many."""
    count = max(1, min(parts, len(batch["label"]) // 2))
    columns = {key: value.tensor_split(count) for key, value in batch.items()}
    return [{key: column[i] for key, column in columns.items()} for i in range(count)]


def note(noted: Losses, losses: Losses, batch: Batch) -> None:
    """Add a micro-batch's terms, weighted by its size. They stay on the device: reading them would wait for it."""
    size = len(batch["label"])
    terms = {name: value.detach() * size for name, value in losses.items() if value.dim() == 0}
    terms["samples"] = batch["label"].new_full((), size, dtype=torch.float32)
    if "logits" in losses:
        logits = losses["logits"].detach()
        terms["accuracy"] = (logits.argmax(dim=1) == batch["label"]).sum().float()
    for name, value in terms.items():
        noted[name] = noted[name] + value if name in noted else value


def count(sums: Losses, noted: Losses) -> None:
    """Add the terms of a step to sums, in their memory. A skipped step is counted, and its terms are not."""
    if "skipped" in noted:
        noted = {"skipped": noted["skipped"].to(noted["samples"].device), "samples": noted["samples"] * 0}
    for name, value in noted.items():
        if name in sums:
            sums[name] += value
        else:
            sums[name] = value
