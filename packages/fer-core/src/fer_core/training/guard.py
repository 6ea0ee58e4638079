"""What a training step may run into: a loss that is no number, a full device, a process that was killed."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import torch

from fer_core import distributed
from fer_core.errors import FerError
from fer_core.files import as_stored, write_text
from fer_core.runs.records import NonFinite

if TYPE_CHECKING:
    from torch import Tensor

    from fer_core.training.trainer import Trainer
    from fer_core.types import Batch, Losses

BEHIND = 8
"""Steps after which an accelerator's loss is looked at: by then it is known, and nobody has to wait for it."""
FILE = "nonfinite.json"
SMALLER = "use train.recompute=true, a smaller data.input_size, another model or another --device"


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
        found = NonFinite(step=step, epoch=trainer.position.epoch, loss=str(value), ids=tuple(map(as_stored, ids)))
        write_text(place, found.text())
        raise FerError(
            f"the loss is {value} at step {step}, so training diverged: lower optimizer.lr, set train.clip_norm, "
            f"or leave such steps out with train.on_nonfinite=skip (its {len(ids)} faces are listed in {place}; "
            "what was saved before is intact)"
        )

    def explain(self, error: BaseException) -> None:
        """Raise a `FerError` in the place of an error of torch that has a known cause; return for any other."""
        text, folder = str(error), self.trainer.folder
        if _no_room(error):
            # Predicting puts the model into eval mode, and an error leaves it there.
            trains = self.trainer.task.model.training
            raise (self._no_room_to_train() if trains else self._no_room_to_evaluate()) from error
        if isinstance(error, RuntimeError) and distributed.size() > 1 and _peer_is_gone(text):
            raise FerError(
                f"process {distributed.rank()} of {distributed.size()} lost another one, which ended first: see "
                f"what that one printed, then go on with --resume {folder}"
            ) from error

    def _no_room_to_train(self) -> FerError:
        trainer = self.trainer
        size = trainer.config.data.batch_size // distributed.size()
        parts = trainer.config.train.accumulate
        what = f"{trainer.engine.device} has no room for {max(size // parts, 1)} images at once"
        while size // (parts := parts * 2) >= 2:  # batch normalisation needs two
            fits = -(-size // parts)
            if self._fits(fits, training=True):
                return FerError(
                    f"{what}, but for {fits}: use train.accumulate={parts}, which computes the same batch in "
                    f"parts, or data.batch_size={fits * distributed.size()}"
                )
        return FerError(f"{what}, and not for two: {SMALLER}")

    def _no_room_to_evaluate(self) -> FerError:
        section = self.trainer.config.data
        size = section.eval_batch_size or section.batch_size
        what = f"{self.trainer.engine.device} has no room to evaluate {size} images at once"
        fits = size
        while (fits := fits // 2) >= 1:
            if self._fits(fits, training=False):
                return FerError(f"{what}, but {fits}: use data.eval_batch_size={fits}, which changes no result")
        return FerError(f"{what}, and not one: {SMALLER}")

    def _fits(self, images: int, *, training: bool) -> bool:
        """Whether a pass over so many images of the training's size finds room."""
        trainer = self.trainer
        size, classes = trainer.config.data.input_size, trainer.setup.info.num_classes
        batch = trainer.engine.place(
            {
                "image": torch.zeros(images, 3, size, size),
                "label": torch.zeros(images, dtype=torch.int64),
                "index": torch.zeros(images, dtype=torch.int64),
                "distribution": torch.full((images, classes), 1 / classes),
            }
        )
        trainer.optimizer.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()
        trainer.task.train(training)
        try:
            with trainer.engine.autocast(), torch.set_grad_enabled(training):
                if not training:
                    trainer.task.model(batch["image"])
                    return True
                losses = trainer.task(batch, trainer.progress())
            trainer.engine.backward(losses["loss"])
        except RuntimeError as error:
            if _no_room(error):
                return False
            raise
        return True


def _no_room(error: BaseException) -> bool:
    """Whether an accelerator's memory, or the computer's own, was refused."""
    refused = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return refused or isinstance(error, torch.OutOfMemoryError)


def _peer_is_gone(text: str) -> bool:
    marks = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "NCCL", "Socket", "timed out")
    return any(mark in text for mark in marks)
