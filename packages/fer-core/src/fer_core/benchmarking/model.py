"""One model: its cost, and its evaluation and training speed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch

from fer_core import registry
from fer_core.benchmarking.clock import Timing, repeat
from fer_core.benchmarking.noise import NOISE, make_data
from fer_core.config import resolve_config
from fer_core.inference.fuse import fuse
from fer_core.inference.predict import logits_of
from fer_core.provenance import Start
from fer_core.training.loop import Loop
from fer_core.training.setup import build_setup
from fer_core.training.trainer import build_trainer

if TYPE_CHECKING:
    from fer_core.data.loader import Loader
    from fer_core.engine import Engine
    from fer_core.types import Batch

SIDE = 100
"""Pixels of the images that the data path reads: those of aligned RAF-DB."""
BATCHES = 4
"""Batches of an epoch."""
STEPS = 1_000_000
"""Length of the run that the steps belong to: more than are ever made."""


@dataclass(frozen=True)
class Phase:
    """One kind of work.

    Attributes:
        images_per_second: From the median wall time of a call.
        timing: Of a call.
        flops: Operations of a call, a multiplication and an addition being two; None where no network runs.
        flop_rate: Operations a second.
    """

    images_per_second: float
    timing: Timing
    flops: int | None = None
    flop_rate: float | None = None


@dataclass(frozen=True)
class Bench:
    """A model's figures.

    Attributes:
        model: Registered name.
        input_size: Pixels of the recipe.
        batch: Batch size.
        parameters: Of the network.
        macs: Multiply-accumulate operations for one image, full network.
        loss: Name of the recipe's loss.
        optimizer: Name of the recipe's optimizer.
        phases: By name: `evaluation` (full network), `inference form`, `training step` (loss, gradients, optimizer
            and all), each on a batch that is on the device; `evaluation data` and `training data`, the data path
            alone; `evaluation with data` (inference form) and `training with data`.
    """

    model: str
    input_size: int
    batch: int
    parameters: int
    macs: int
    loss: str
    optimizer: str
    phases: dict[str, Phase]


def make_loop(model: str, engine: Engine, batch: int, folder: Path, changes: Sequence[str] = ()) -> Loop:
    """The training of a model's default recipe, with `changes` such as `data.input_size=32`, over noise.

    Raises:
        FerError: Unknown model.
    """
    overrides = [
        f"data.batch_size={batch}",
        f"train.steps={STEPS}",
        "callbacks=[]",
        "data.drop_last=true",
        *changes,
    ]
    config = resolve_config(registry.find("models", model), NOISE, overrides=overrides).config
    data = make_data(4 * BATCHES * batch, SIDE)
    setup = build_setup(config, data, engine, start=Start(description="random weights"))
    return Loop(build_trainer(setup), folder)


def measure_model(model: str, engine: Engine, *, batch: int, seconds: float) -> Bench:
    """Measure every phase for about `seconds`.

    Args:
        model: Registered name; its default recipe says the input, the loss and the optimizer.
        engine: Where and how it runs.
        batch: Batch size.
        seconds: For each phase.

    Raises:
        FerError: Unknown model.
    """
    with TemporaryDirectory() as folder:
        return measure_loop(make_loop(model, engine, batch, Path(folder)), batch, seconds)


def measure_loop(loop: Loop, batch: int, seconds: float) -> Bench:
    """As `measure_model`, of what `make_loop` gave for this batch size."""
    return _Bench(loop, batch, seconds).measure()


class _Bench:
    """The phases of one model, in turn."""

    def __init__(self, loop: Loop, batch: int, seconds: float) -> None:
        self.loop, self.batch, self.seconds = loop, batch, seconds
        self.engine, self.network = loop.setup.engine, loop.setup.task.model

    def measure(self) -> Bench:
        loop, config = self.loop, self.loop.config
        evaluation, training = loop.setup.loaders["val"], loop.setup.train_loader
        kept, taught = (self.engine.place(next(endless(loader))) for loader in (evaluation, training))
        self.network.eval()
        macs = count_flops(lambda: self._evaluate(self.network, kept)) // 2 // self.batch
        phases = {"evaluation": self._compute(lambda: self._evaluate(self.network, kept), len(kept["label"]))}
        self.network.train()
        phases["training step"] = self._compute(lambda: loop.step(taught), self.batch)
        phases["training data"] = self._read(training, self.engine.place)
        phases["training with data"] = self._read(training, lambda batch: loop.step(self.engine.place(batch)))
        form = fuse(self.network, config.model.name)
        self.engine.prepare(form)
        phases["inference form"] = self._compute(lambda: self._evaluate(form, kept), len(kept["label"]))
        phases["evaluation data"] = self._read(evaluation, self.engine.place)
        phases["evaluation with data"] = self._read(
            evaluation, lambda batch: self._evaluate(form, self.engine.place(batch))
        )
        return Bench(
            model=config.model.name,
            input_size=config.data.input_size,
            batch=self.batch,
            parameters=sum(parameter.numel() for parameter in self.network.parameters()),
            macs=macs,
            loss=config.loss.name,
            optimizer=config.optimizer.name,
            phases=phases,
        )

    @torch.inference_mode()
    def _evaluate(self, network: torch.nn.Module, batch: Batch) -> None:
        with self.engine.autocast():
            logits_of(network, batch["image"])

    def _compute(self, call: Callable[[], Any], images: int) -> Phase:
        flops = count_flops(call)
        timing = repeat(call, self.engine.device, self.seconds)
        return Phase(images / timing.seconds, timing, flops, flops / timing.seconds)

    def _read(self, loader: Loader, use: Callable[[Batch], Any]) -> Phase:
        batches = endless(loader)
        timing = repeat(lambda: use(next(batches)), self.engine.device, self.seconds)
        return Phase(self.batch / timing.seconds, timing)


def endless(loader: Loader) -> Iterator[Batch]:
    """The batches of one epoch after another."""
    epoch = 0
    while True:
        yield from loader.epoch(epoch)
        epoch += 1


def count_flops(call: Callable[[], Any]) -> int:
    """Floating-point operations of a call in matrix products, convolutions and attention, uncompiled."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.compiler.set_stance("force_eager"), FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())
