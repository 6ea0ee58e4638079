"""The training loop. It has no paper-specific code: a method is a loss plus an optimizer."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fer_core import distributed, files
from fer_core.data.random import derive_seed
from fer_core.errors import FerError
from fer_core.inference.heads import heads_of, measure
from fer_core.inference.predict import predict
from fer_core.losses import SampleBuffer
from fer_core.makers import CORE, Maker, remember
from fer_core.metrics import MetricsRow
from fer_core.metrics.record import LARGEST, figure_name
from fer_core.metrics.selection import score
from fer_core.returned import check_plain, check_rate, check_reason, check_step
from fer_core.runs import folder as run_folder
from fer_core.runs.records import FORMAT, Best
from fer_core.runs.state import ADVICE, Envelope, SavedPosition, State, save_state
from fer_core.training.batches import count, note, rest_of_epoch, split
from fer_core.training.ema import EMA
from fer_core.training.guard import LossGuard
from fer_core.training.memory import out_of_memory, smaller_batch
from fer_core.training.passes import Passes
from fer_core.training.signals import Signals
from fer_core.training.state import DeviceProgress, Position
from fer_core.types import Progress
from fer_core.weights import checkpoint
from fer_core.weights.header import Selection

if TYPE_CHECKING:
    from fer_core.config import Config
    from fer_core.inference.predict import Predictions
    from fer_core.provenance import Extension
    from fer_core.training.trainer import Trainer
    from fer_core.types import Batch, Losses, Output, Role


logger = logging.getLogger(__name__)
SCALARS = ("accuracy", "mean_class_accuracy", "macro_f1", "cross_entropy")


class Loop:
    """A training from its first step to its last; what it writes goes into `folder`.

    Attributes:
        trainer: What a step computes.
        setup: Model, data and method of the training.
        position: Where training is.
        history: The rows of `metrics.jsonl`.
        predicted: By the step of the last evaluation, and of the best one, its predictions of every part that is
            evaluated while training; a resumed run has those since it was resumed.
        stop: Set to a reason, it ends the run at the current or else the next evaluation.
        extended: The run that this one was extended from.
        versions: Of the numerical packages, at the start of the run.
    """

    def __init__(self, trainer: Trainer, folder: Path) -> None:
        self.trainer, self.setup = trainer, trainer.setup
        self.folder = folder
        remember(self, Maker("loop", "standard", CORE))  # its own errors are the core's
        setup = self.setup
        # Callbacks print and write, so they exist in the main process only.
        self.callbacks = setup.callbacks if distributed.is_main() else {}
        self.signals, self.asked = Signals(folder), distributed.LateFlag()
        self.position = Position()
        self.history: list[MetricsRow] = []
        self.predicted: dict[int, dict[Role, Predictions]] = {}
        self.best: Best | None = None
        self.stop: str | None = None
        self.extended: Extension | None = None
        self.versions = setup.identity.versions
        self.sums: dict[str, Tensor] = {}
        self.learning_rate, self.unsettled = 0.0, True
        self.passes, self.device_progress = Passes(trainer), None
        if self.config.train.compile or self.config.train.graph:
            self.device_progress = DeviceProgress(setup.engine.device.torch_device)
        self.ema = EMA(trainer.product_model()) if self.config.train.ema is not None else None
        ids = setup.data.dataset.table["id"].to_numpy()[setup.data.rows("train")].tolist()
        self.guard = LossGuard(self, ids, setup.engine.device)
        setup.task.train()
        groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
        self.parameters = [parameter for group in groups for parameter in group["params"]]
        self.sample_buffers = [module for module in setup.task.modules() if isinstance(module, SampleBuffer)]

    @property
    def config(self) -> Config:
        """Configuration of the run."""
        return self.setup.config

    @property
    def epochs(self) -> int:
        """Length in epochs, the last of which may be a part."""
        return self.setup.epochs

    @property
    def total_steps(self) -> int:
        """Length in optimizer steps."""
        return self.setup.total_steps

    def fit(self) -> None:
        """Train to the end, from wherever `load_state` left off, and write `last` and `best` weights.

        Raises:
            FerError: The loss is not finite, or the disk cannot be written; the last saved state is intact.
        """
        for callback in self.callbacks.values():
            callback.on_start(self)
        try:
            while self.stop is None and self.position.step < self.total_steps:
                self._epoch()
        except BaseException as error:
            if out_of_memory(error):
                raise smaller_batch(self.setup, self.progress(), tuple(self.trainer.loaders)) from error
            if distributed.peer_is_gone(error):
                raise FerError(
                    f"process {distributed.rank()} of {distributed.size()} lost another one, which ended first: "
                    f"see what that one printed, then resume with --resume {self.folder}"
                ) from error
            if distributed.gradient_is_missing(error):
                raise FerError(
                    f"the loss left parameters out in step {self.position.step} that it used in the first one, "
                    "which several processes have to know: set parameters_vary = True in the class of the loss"
                ) from error
            raise
        finally:
            for callback in self.callbacks.values():
                callback.on_end(self)
        if self.stop is not None:
            logger.info(f"stopped: {self.stop}")
        with self._averaged():
            self._save_product(run_folder.LAST, self.history[-1])
            if self.best is None:
                self._save_product(run_folder.BEST, self.history[-1])

    def _epoch(self) -> None:
        for batch in rest_of_epoch(self.setup.train_loader, self.trainer.loaders, self.position):
            self.step(self.setup.engine.place(batch))
            if self.position.step >= self.total_steps or self.position.batch == len(self.setup.train_loader):
                break
            self._heed_signals()
            if _due(self.config.train.eval_every, self.position.step):
                self._evaluate()
            if self._ends() or _due(self.config.train.save_every, self.position.step):
                self._save_state()
            if self._ends():
                return
        distributed.share_buffers(self.setup.task)
        self.setup.task.loss.after_epoch(self._scan, self.progress())
        self._merge_samples()
        if self.config.scheduler.per == "epoch":
            self._move_schedules()
        if self.position.batch == len(self.setup.train_loader):
            self.position.epoch, self.position.batch = self.position.epoch + 1, 0
        self._evaluate()
        self._save_state()
        if self.position.step < self.total_steps:
            self._heed_signals()

    def step(self, batch: Batch) -> None:
        """One optimizer step over a placed batch, in parts where the batch is to be accumulated."""
        setup, trainer = self.setup, self.trainer
        if not (setup.task.training and setup.task.model.training):  # visiting every module takes milliseconds
            setup.task.train()
        config, progress = self.config.train, self.progress()
        given = progress if self.device_progress is None else self.device_progress(progress)
        whole = setup.train_loader.whole(self.position.batch)
        micro_batches = [self._prepared(part, micro) for part, micro in enumerate(split(batch, config.accumulate))]
        passes = 0

        def closure() -> Losses:
            nonlocal passes
            self._clear_gradients()
            noted: Losses = {}
            for part, micro in enumerate(micro_batches):
                self._seed_layers(part, passes)
                losses = self.passes(part, len(micro_batches), micro, given, whole=whole)
                note(noted, losses, micro)
            passes += 1
            # A non-finite loss is not caused by loss scaling, so the guard looks at it in either case.
            kept = setup.engine.unscale(*trainer.optimizers)
            if self.guard.rejects(noted, batch) or not kept:
                # Optimizers skip parameters without a gradient, so this update does not happen.
                self._clear_gradients()
                return noted | {"skipped": torch.tensor(1.0)}
            if config.clip_norm is not None:
                nn.utils.clip_grad_norm_(self.parameters, config.clip_norm)
            return noted

        first, *others = trainer.optimizers
        self.learning_rate = first.param_groups[0]["lr"]
        check_rate(trainer.schedulers[0], self.learning_rate)
        noted: Any = first.step(closure)  # type: ignore[arg-type]  # torch types the closure as float
        check_step(first, noted)
        for optimizer in others:
            optimizer.step()
        if self.unsettled and "skipped" not in noted and not setup.task.loss.parameters_vary:
            trainer.wrapped, self.unsettled = setup.engine.settle(trainer.wrapped), False
        count(self.sums, noted)
        trainer.after_step(progress)
        self._merge_samples()
        if self.config.scheduler.per == "step":
            self._move_schedules()
        if self.ema is not None and config.ema is not None:
            self.ema.update(trainer.product_model(), config.ema)
        self.position.batch += 1
        self.position.step += 1
        for callback in self.callbacks.values():
            callback.on_step(self)

    def _clear_gradients(self) -> None:
        for optimizer in self.trainer.optimizers:
            optimizer.zero_grad(set_to_none=True)

    def _move_schedules(self) -> None:
        for scheduler in self.trainer.schedulers:
            scheduler.step()

    def _merge_samples(self) -> None:
        for buffer in self.sample_buffers:
            buffer.merge()

    def _prepared(self, part: int, batch: Batch) -> Batch:
        """A part of a batch as the trainer changes it."""
        place = (self.position.epoch, self.position.batch, self._number(part))
        return self.trainer.prepare(batch, derive_seed(derive_seed(self.config.train.seed, 3), *place))

    def _seed_layers(self, part: int, passes: int) -> None:
        """Layer noise is a function of the position, so a resumed run draws what an undisturbed one would."""
        place = (self.position.epoch, self.position.batch, self._number(part))
        torch.manual_seed(derive_seed(self.config.train.seed, *place, passes))

    def _number(self, part: int) -> int:
        """Of a part over all processes: micro-batches of one process draw what as many processes would."""
        return part + distributed.rank() * self.config.train.accumulate

    def _heed_signals(self) -> None:
        """Save and stop if a signal asked for it; all processes at the same step, of several the one after it."""
        if self.asked.any_of(self.signals.received is not None):
            self._save_state()
            self.signals.leave()

    def progress(self) -> Progress:
        """How far training is."""
        return Progress(self.position.epoch, self.epochs, self.position.step, self.total_steps)

    @torch.no_grad()
    def _scan(self) -> Iterator[tuple[Batch, Output]]:
        self.setup.task.eval()
        # Epochs beyond the last are never trained on, so this pass has an augmentation of its own.
        # Each process runs its share of every batch; what a loss sums up, it sums by `distributed.all_sum`.
        loader = self.setup.train_loader
        for number, batch in enumerate(loader.epoch(self.epochs + self.position.epoch)):
            # In the parts of training: they fit into memory, and round as the shares of several processes do.
            for micro in split(self.setup.engine.place(batch), self.config.train.accumulate):
                with self.setup.engine.autocast(), self.setup.engine.compiled(loader.whole(number)):
                    output: Output = self.setup.task.model(micro["image"])
                yield micro, output

    def _evaluate(self) -> None:
        train = self._train_means()
        with self._averaged():
            distributed.share_buffers(self.trainer.product_model())
            found = self._predict()
            measured = {role: self._measure(each) for role, each in found.items()}
            row = MetricsRow(
                epoch=self._epochs_done(),
                step=self.position.step,
                lr=self.learning_rate,
                train=train,
                val=measured.get("val", {}),
                test=measured.get("test", {}),
            )
            self.history.append(row)
            score = self.score(row)
            if score is not None and (self.best is None or score > self.best.score):
                self.best = Best(score=score, epoch=row.epoch, step=row.step)
                self._save_product(run_folder.BEST, row)
        kept = {row.step, row.step if self.best is None else self.best.step}
        self.predicted = {step: of for step, of in (self.predicted | {row.step: found}).items() if step in kept}
        if distributed.is_main():
            files.write_text(self.folder / run_folder.METRICS, "".join(entry.line() for entry in self.history))
        for callback in self.callbacks.values():
            callback.on_evaluation(self, row)
            check_reason(callback, self.stop)
        self.stop = distributed.share(self.stop)

    def _ends(self) -> bool:
        """Whether a callback ends the run here, at an evaluation."""
        return self.stop is not None and self.history[-1:] != [] and self.history[-1].step == self.position.step

    def _epochs_done(self) -> float:
        within = self.position.batch / len(self.setup.train_loader)
        return self.position.epoch if within == 0 else round(self.position.epoch + within, 4)

    def _train_means(self) -> dict[str, float]:
        self.guard.check_all()
        sums = {name: float(distributed.all_sum(value)) for name, value in sorted(self.sums.items())}
        self.sums = {}
        seen, skipped = sums.pop("samples"), sums.pop("skipped", 0.0)
        means = {name: total / max(seen, 1) for name, total in sums.items()}
        if unknown := [name for name, mean in means.items() if not abs(mean) <= LARGEST]:
            logger.warning(f"{', '.join(unknown)}: not finite at step {self.position.step}, so omitted")
        means = {name: mean for name, mean in means.items() if abs(mean) <= LARGEST}
        return means | ({"skipped_steps": skipped / distributed.size()} if skipped else {})

    def _predict(self) -> dict[Role, Predictions]:
        setup = self.setup
        if not setup.loaders:
            return {}
        form = setup.form.of(self.trainer.product_model())
        return {role: predict(form, loader, setup.engine) for role, loader in setup.loaders.items()}

    def _measure(self, found: Predictions) -> dict[str, float]:
        setup = self.setup
        heads = heads_of(found, setup.data.targets, setup.info.targets)
        metrics = measure(found, setup.info.classes, heads, self.config.metrics)
        further = {figure_name(*key): value for key, value in metrics.further.items()}
        return {name: metrics.value(name) for name in SCALARS} | further

    def score(self, row: MetricsRow) -> float | None:
        """The selection metric of a row, higher for better; None where the last epoch is taken."""
        name, role = self.config.train.metric, self.config.train.select.removeprefix("best:")
        if role == "last":
            return None
        if name not in row.part(role):
            raise FerError(
                f"train.metric is {name}, but the {role} part has no such figure, since the model lacks the head "
                "or no image has the target; choose another one"
            )
        return score(name, row.part(role)[name])

    def _averaged(self) -> AbstractContextManager[Any]:
        return nullcontext() if self.ema is None else self.ema.applied(self.trainer.product_model())

    def _save_product(self, name: str, row: MetricsRow) -> None:
        if not distributed.is_main():
            return
        metrics = {role: row.part(role) for role in self.setup.loaders}
        selection = Selection(select=self.config.train.select, epoch=row.epoch, step=row.step, metrics=metrics)
        header = self.setup.header.model_copy(update={"selection": selection})
        checkpoint.save_weights(self.folder / name, self.trainer.product_model().state_dict(), header)

    def _save_state(self) -> None:
        self.guard.check_all()
        # The sums of the epoch so far are those of all processes, whatever their number after resuming.
        sums = {name: distributed.all_sum(value) for name, value in sorted(self.sums.items())}
        extra = self.trainer.extra_state()
        if not distributed.is_main():
            return
        envelope = Envelope(
            format=FORMAT,
            identity=self.setup.identity.model_copy(update={"versions": self.versions}),
            extended=self.extended,
            start=self.setup.start,
            position=SavedPosition(**asdict(self.position)),
            history=tuple(self.history),
            best=self.best,
            stop=self.stop if self._ends() else None,
        )
        state = State(
            envelope,
            sums=sums,
            scaler=self.setup.engine.scaler.state_dict(),
            task=self.setup.task.state_dict(),
            optimizers=[optimizer.state_dict() for optimizer in self.trainer.optimizers],
            schedulers=[scheduler.state_dict() for scheduler in self.trainer.schedulers],
            extra=extra,
            ema={} if self.ema is None else self.ema.state_dict(),
            callbacks={name: check_plain(each, each.state_dict()) for name, each in self.callbacks.items()},
        )
        save_state(self.folder / run_folder.STATE, state)
        logger.debug(f"saved    {run_folder.STATE} after step {self.position.step}")

    def load_state(self, state: State) -> None:
        """Restore a saved state; the next `fit` resumes from there.

        Raises:
            FerError: The data are not those of the run, or the state is not one of this training.
        """
        envelope = state.envelope
        envelope.identity.check_data(self.setup.identity.data)
        self._check_position(envelope)
        self.position = Position(**dict(envelope.position))
        self.history, self.best, self.stop = list(envelope.history), envelope.best, envelope.stop
        self.extended, self.versions = envelope.extended, envelope.identity.versions
        share = 1.0 if distributed.is_main() else 0.0
        try:
            self.sums = {name: self.setup.engine.device.place(value) * share for name, value in state.sums.items()}
            self.setup.engine.scaler.load_state_dict(state.scaler)
            self.setup.task.load_state_dict(state.task)
            for optimizer, moments in zip(self.trainer.optimizers, state.optimizers, strict=True):
                optimizer.load_state_dict(moments)
            for scheduler, schedule in zip(self.trainer.schedulers, state.schedulers, strict=True):
                scheduler.load_state_dict(schedule)
            self.trainer.load_extra_state(state.extra)
            if self.ema is not None:
                self.ema.load_state_dict(state.ema)
            for name, callback in self.callbacks.items():
                callback.load_state_dict(state.callbacks[name])
        except Exception as error:  # each object rejects a foreign state with an exception of its own
            if isinstance(error, FerError):
                raise
            raise self._misfit(f"{type(error).__name__}: {error}") from error

    def _check_position(self, envelope: Envelope) -> None:
        at, batches = envelope.position, len(self.setup.train_loader)
        if at.batch >= batches or at.step != at.epoch * batches + at.batch or at.step > self.total_steps:
            raise self._misfit(
                f"epoch {at.epoch}, batch {at.batch}, step {at.step} is not a position in "
                f"{self.total_steps} steps, {batches} an epoch"
            )
        last = envelope.history[-1].step if envelope.history else None
        if at.step == self.total_steps and last != at.step:
            raise self._misfit("training has ended, but its last evaluation is missing")

    def _misfit(self, reason: str) -> FerError:
        place = self.folder / run_folder.STATE
        return FerError(f"{place} does not fit this training ({reason}): {ADVICE}")


def _due(every: str | int, step: int) -> bool:
    return not isinstance(every, str) and step % every == 0
