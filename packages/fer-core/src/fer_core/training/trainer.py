"""The standard trainer: what one step computes, and the modules, optimizers and loaders that it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import nn

from fer_core.components import build
from fer_core.config import Component
from fer_core.data.prepare import make_loader
from fer_core.errors import FerError
from fer_core.nn.freeze import freeze
from fer_core.optim.groups import rate_factors, scale_rates
from fer_core.training.setup import build_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch.optim.lr_scheduler import LRScheduler

    from fer_core.config import Config
    from fer_core.engine import Device
    from fer_core.losses import Loss
    from fer_core.training.setup import Setup
    from fer_core.training.state import Batches
    from fer_core.types import Batch, Losses, Progress, StateDict, TaskInfo

Module = TypeVar("Module", bound=nn.Module)


class Trainer:
    """The `standard` trainer. Subclass it for a method that is more than a loss and an optimizer.

    The core loops over epochs, evaluates, selects and saves; it calls the methods below, and a subclass overrides
    those that differ. Its constructor adds modules, and has the options of `train.trainer` as keywords:

    ```python
    class MeanTeacher(Trainer):
        def __init__(self, *given: Any, decay: float = 0.999) -> None:
            super().__init__(*given)
            self.teacher = self.add_module("teacher", copy.deepcopy(self.model).requires_grad_(False))
    ```

    Every process of a run calls each method. Added modules, `SampleBuffer`s among them, the optimizers and the
    schedules are saved and resumed; `extra_state` is for what else a step depends on.

    Attributes:
        model: The configured model, on the device.
        loss: The configured loss.
        config: The configuration.
        info: What model and loss know of the task.
        device: Where it computes.
        models: `model`, and those that `add_model` made.
        unlabelled: Rows of the dataset's table, int64 [M], that `data.fraction` leaves out of the training part:
            images whose labels a semi-supervised method may not use.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.model: nn.Module = setup.task.model
        self.loss: Loss = setup.task.loss
        self.config: Config = setup.config
        self.info: TaskInfo = setup.info
        self.device: Device = setup.engine.device
        self.unlabelled: NDArray[np.int64] = setup.data.split.unlabelled
        self.optimizers: list[torch.optim.Optimizer] = []
        self.schedulers: list[LRScheduler] = []
        self.loaders: Mapping[str, Batches] = {}
        self.wrapped: nn.Module = setup.task
        self._loaders_made = 0
        self.models = [self.model]
        setup.task.training_step = self.training_step

    def prepare(self, batch: Batch, seed: int) -> Batch:
        """Change a batch, or a part of it under `train.accumulate`, once in a step, before losses are computed.

        Args:
            batch: Of the training part, placed on the device.
            seed: Of what is drawn: a function of the run's seed, the position of the training and the part,
                numbered over all processes. A resumed run is given the same.

        Returns:
            What `training_step` gets, every time that the optimizer asks for it.
        """
        return batch

    def training_step(self, batch: Batch, progress: Progress) -> Losses:
        """The losses of a batch, or of a part of it under `train.accumulate`.

        Called under autocast and with gradients, once in a step and twice with an optimizer such as SAM. The model
        may be called any number of times.

        Args:
            batch: Of the training part, and what `extra_loaders` add to it.
            progress: How far training is.
        """
        losses: Losses = self.loss(self.model, batch, progress)
        return losses

    def after_step(self, progress: Progress) -> None:
        """Called after the optimizers' step, before the schedules move; `progress` is that of the step."""

    def product_model(self) -> nn.Module:
        """The model that is evaluated, selected and saved, and that `train.ema` averages.

        By default `model`; another one must have its architecture.
        """
        return self.model

    def make_optimizers(self, parameters: Sequence[nn.Parameter]) -> list[torch.optim.Optimizer]:
        """The optimizers, each with a schedule as configured; by default the configured one.

        The first is given the closure, which computes the gradients of all; the others take their steps after it.

        Args:
            parameters: All trainable ones: of the model, the loss and the modules that were added.
        """
        chosen = self.config.optimizer
        return [build("optimizers", chosen.name, chosen.options, parameters)]

    def extra_loaders(self) -> Mapping[str, Batches]:
        """Loaders of further images, made by `make_loader`; each gives every step a batch, epoch after epoch.

        What a loader called `more` gives is `more_image` and `more_index` in the batch of `training_step`; its
        labels are not given.
        """
        return {}

    def extra_state(self) -> StateDict:
        """What else to save: tensors and plain values, nested. That of the main process is saved."""
        return {}

    def load_extra_state(self, state: StateDict) -> None:
        """Restore what `extra_state` returned, on every process."""

    def add_module(self, name: str, module: Module) -> Module:
        """Put a module to model and loss: on the device, in training mode with them, saved and resumed.

        Its parameters are trained unless `requires_grad` is off.

        Args:
            name: Under which its state is saved.
            module: Such as a projection, or a copy of the model.

        Raises:
            FerError: It is not called by a constructor, or the name is taken.
        """
        if self.optimizers or name in self.setup.task.extra:
            why = "training has begun" if self.optimizers else "there is one"
            raise FerError(f"{type(self).__name__} cannot add the module {name}, since {why}: add it in __init__")
        self.setup.engine.prepare(module)
        self.setup.task.extra[name] = module
        return module

    def add_model(self, name: str) -> nn.Module:
        """Another model as configured, added by `add_module`.

        It starts from the same trained weights, where there are some (`model.weights`); its random weights are its
        own.
        """
        model = build_model(self.config, self.info, len(self.setup.task.extra) + 1)
        own, first = model.state_dict(), self.model.state_dict()
        with torch.no_grad():
            for key in self.setup.carried:
                own[key].copy_(first[key])
        freeze(model, self.config.model.freeze)
        self.models.append(model)
        return self.add_module(name, model)

    def make_loader(
        self,
        rows: NDArray[np.int64],
        transforms: Sequence[str | Mapping[str, object]] | None = None,
        batch_size: int | None = None,
    ) -> Batches:
        """A loader for `extra_loaders`, of shuffled rows.

        Loaders of the same rows and batch size give the same images in a step, each with transforms of its own.

        Args:
            rows: Of the dataset's table, such as `unlabelled`.
            transforms: As in a configuration; None: `data.train_transforms`.
            batch_size: Images in a step over all processes; None: `data.batch_size`.

        Raises:
            FerError: There are no rows.
        """
        if not len(rows):
            raise FerError(
                f"{type(self).__name__} has no further images to load: leave some without labels with "
                "data.fraction=0.1, or use a trainer that needs none"
            )
        section = self.config.data.model_copy(
            update={
                "sampler": Component(name="shuffle"),
                "batch_size": batch_size or self.config.data.batch_size,
                "train_transforms": list(transforms or self.config.data.train_transforms),
            }
        )
        config = self.config.model_copy(update={"data": section})
        self._loaders_made += 1
        return make_loader(self.setup.data, rows, config, self.device, training=True, number=(self._loaders_made,))


def build_trainer(setup: Setup) -> Trainer:
    """The configured trainer with its optimizers, schedules and loaders.

    Raises:
        FerError: It cannot be built.
    """
    config = setup.config
    trainer: Trainer = build("trainers", config.train.trainer.name, config.train.trainer.options, setup)
    parameters = [parameter for parameter in setup.task.parameters() if parameter.requires_grad]
    trainer.optimizers = trainer.make_optimizers(parameters)
    if groups := config.optimizer.groups:
        factors = rate_factors(trainer.models, groups)
        for optimizer in trainer.optimizers:
            scale_rates(optimizer, factors)
    trainer.schedulers = [_schedule(setup, optimizer) for optimizer in trainer.optimizers]
    trainer.loaders = trainer.extra_loaders()
    trainer.wrapped = setup.engine.wrap(setup.task, sync_batch_norm=config.train.sync_batch_norm)
    if config.train.sync_batch_norm:  # its norms are new modules
        for model in trainer.models:
            freeze(model, config.model.freeze)
    return trainer


def _schedule(setup: Setup, optimizer: torch.optim.Optimizer) -> LRScheduler:
    chosen = setup.config.scheduler
    units = {"epoch": (setup.epochs, 1), "step": (setup.total_steps, len(setup.train_loader))}[chosen.per]
    scheduler: LRScheduler = build("schedulers", chosen.name, chosen.options, optimizer, *units)
    return scheduler
