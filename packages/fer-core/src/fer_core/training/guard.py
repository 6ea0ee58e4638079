"""What a training step may run into: a loss that is no number, a full device, a process that was killed."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import torch

from fer_core import distributed
from fer_core.errors import FerError
from fer_core.training import files

if TYPE_CHECKING:
    from torch import Tensor

    from fer_core.training.trainer import Trainer
    from fer_core.types import Batch, Losses

BEHIND = 8
"""Steps after which an accelerator's loss is looked at: by then it is known, and nobody has to wait for it."""
FILE = "nonfinite.json"


class LossGuard:
    """Watches the loss of every pass of a `Trainer`: the first that is no number ends the run, or is skipped."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.skips = trainer.config.train.on_nonfinite == "skip"
        self.at_once = self.skips or trainer.engine.device.type == "cpu"
        self.pending: deque[tuple[int, Tensor, Tensor]] = deque()

    def rejects(self, noted: Losses, batch: Batch) -> bool:
        """Whether the update is to be left out.

        Args:
            noted: Sums of the pass, of which `loss` is looked at.
            batch: The pass's faces.

        Raises:
            FerError: The loss, here or some steps ago, is not finite, and `train.on_nonfinite` is `stop`.
        """
        if self.skips:
            return distributed.any_of(not bool(noted["loss"].isfinite()))
        self.pending.append((self.trainer.position.step, noted["loss"] / noted["samples"], batch["index"]))
        while self.pending and (self.at_once or len(self.pending) > BEHIND):
            self._check(*self.pending.popleft())
        return False

    def check_all(self) -> None:
        """Look at what has not been looked at, before anything is saved. Raises FerError as `rejects`."""
        while self.pending:
            self._check(*self.pending.popleft())

    def _check(self, step: int, loss: Tensor, rows: Tensor) -> None:
        value = float(loss)
        if loss.isfinite():
            return
        self.pending.clear()
        trainer = self.trainer
        ids = trainer.setup.data.dataset.table["id"].to_numpy()[rows.cpu().numpy()].tolist()
        place = trainer.folder / FILE
        files.write_json(place, {"step": step, "epoch": trainer.position.epoch, "loss": str(value), "ids": ids})
        raise FerError(
            f"the loss is {value} at step {step}, so training diverged: lower optimizer.lr, set train.clip_norm, "
            f"or leave such steps out with train.on_nonfinite=skip (its {len(ids)} faces are listed in {place}; "
            "what was saved before is intact)"
        )

    def explain(self, error: BaseException) -> None:
        """Raise a `FerError` in the place of an error of torch that has a known cause; return for any other."""
        text, folder = str(error), self.trainer.folder
        if isinstance(error, torch.OutOfMemoryError):
            raise self._out_of_memory() from error
        if isinstance(error, RuntimeError) and distributed.size() > 1 and _peer_is_gone(text):
            raise FerError(
                f"process {distributed.rank()} of {distributed.size()} lost another one, which ended first: see "
                f"what that one printed, then go on with --resume {folder}"
            ) from error

    def _out_of_memory(self) -> FerError:
        trainer = self.trainer
        size = trainer.config.data.batch_size // distributed.size()
        parts = trainer.config.train.accumulate
        while (fits := -(-size // (parts := parts * 2))) > 1:
            if self._fits(fits):
                break
        return FerError(
            f"{trainer.engine.device} has no room for {size // trainer.config.train.accumulate or 1} images at "
            f"once, but for {fits}: use train.accumulate={parts}, which computes the same batch in parts, or "
            f"data.batch_size={fits * distributed.size()}"
        )

    def _fits(self, images: int) -> bool:
        """Whether a pass over so many images of the training's size finds room."""
        trainer = self.trainer
        size = trainer.config.data.input_size
        batch = {
            "image": torch.zeros(images, 3, size, size),
            "label": torch.zeros(images, dtype=torch.int64),
            "index": torch.zeros(images, dtype=torch.int64),
        }
        trainer.optimizer.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()
        try:
            with trainer.engine.autocast():
                losses = trainer.task(trainer.engine.place(batch), trainer.progress())
            trainer.engine.backward(losses["loss"])
        except torch.OutOfMemoryError:
            return False
        return True


def _peer_is_gone(text: str) -> bool:
    marks = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "NCCL", "Socket", "timed out")
    return any(mark in text for mark in marks)
