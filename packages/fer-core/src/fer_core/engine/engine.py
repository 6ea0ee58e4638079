"""The engine: device, precision, and the preparation of a model for them."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from fer_core import distributed
from fer_core.engine.choose import choose_device
from fer_core.errors import FerError
from fer_core.machine import Compile, Machine

if TYPE_CHECKING:
    from fer_core.engine.devices import Device
    from fer_core.types import Batch


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Engine:
    """The resolved choices of a run. Make one with `Engine.start`.

    Attributes:
        device: Where the model computes.
        precision: `fp32`, `tf32`, `bf16` or `fp16`.
        compile: Mode in which `prepare` compiles, or False.
        deterministic: Whether only deterministic algorithms are used.
        channels_last: Whether images lie with their channels last.
        scaler: Scales the loss under fp16, so that small gradients do not vanish; idle otherwise.
    """

    device: Device
    precision: str
    compile: Compile
    deterministic: bool
    channels_last: bool
    scaler: torch.amp.GradScaler

    @classmethod
    def start(
        cls,
        device: str = "auto",
        precision: str = "auto",
        *,
        compile: Compile = False,
        deterministic: bool | str = "auto",
    ) -> Engine:
        """Resolve `auto`, switch torch's global settings accordingly, and join the processes of torchrun.

        Args:
            device: `auto` (the available one with the highest priority: cuda, else mps, else cpu, where no plugin
                has a higher one) or the name of a device, with an index as in `cuda:1`.
            precision: `auto` is the first of the device's `native_precisions`; `tf32` is `fp32` on a device
                without it, which is logged.
            compile: Mode of `torch.compile` in which `prepare` compiles; False: it does not.
            deterministic: `auto` is what the device's class says: True on CPU, False on cuda.

        Raises:
            FerError: The device is absent or the precision unknown; nothing is chosen in its place.
        """
        where = choose_device(device)
        if precision == "auto":
            precision = where.native_precisions()[0]
        asked, precision = precision, where.resolve(precision)
        if precision != asked:
            logger.info(
                f"device   precision {asked} is resolved to {precision}, since {where} has no {asked.upper()}"
            )
        if precision not in where.precisions:
            raise FerError(
                f"train.precision {precision} is not supported on {where}: use {' or '.join(where.precisions)}"
            )
        distributed.start(where.backend)
        exact = where.deterministic if deterministic == "auto" else bool(deterministic)
        where.set_deterministic(exact)
        where.set_precision(precision)
        if compile:
            torch.use_deterministic_algorithms(exact)  # the compiler's kernels, too
        return cls(where, precision, compile, exact, where.channels_last, where.scaler(precision))

    def prepare(self, module: nn.Module) -> None:
        """Move a model or a loss to the device, lay out its weights for it, compile it if asked, all in place."""
        # Module.to without a layout keeps each weight's own, so the two calls differ.
        if self.channels_last:
            module.to(self.device.torch_device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        else:
            module.to(self.device.torch_device)
        if self.compile:
            module.compile(mode=self.compile)

    def compiled(self, whole: bool) -> AbstractContextManager[Any]:
        """Context of a batch, in which what `prepare` compiled runs as it is unless the batch is `whole`.

        A batch of another size would be compiled again, for which it comes too rarely.
        """
        if whole or not self.compile:
            return nullcontext()
        eager: AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
        return eager

    def place(self, batch: Batch) -> Batch:
        """The batch on the device, its images in the layout of the model."""
        moved = {key: self.device.place(value) for key, value in batch.items()}
        if self.channels_last and moved["image"].dim() == 4:
            moved["image"] = moved["image"].contiguous(memory_format=torch.channels_last)
        return moved

    def wrap(self, task: nn.Module, *, sync_batch_norm: bool = False) -> nn.Module:
        """The task as every process of the run calls it, with gradients averaged over them.

        The task itself where there is one process. Buffers, such as the running statistics of BatchNorm, are the
        main process's.

        Args:
            task: Model and loss, prepared.
            sync_batch_norm: BatchNorm takes its statistics over the images of all processes.

        Raises:
            FerError: `sync_batch_norm` on a device that torch cannot do it on.
        """
        if sync_batch_norm and not self.device.sync_batch_norm:
            raise FerError(
                f"train.sync_batch_norm is asked for on {self.device}, where torch cannot synchronise BatchNorm: "
                "leave it out, or use --device cuda"
            )
        if distributed.size() == 1:
            return task
        if sync_batch_norm:
            task = nn.SyncBatchNorm.convert_sync_batchnorm(task)  # type: ignore[no-untyped-call]
        return self._shared(task, find_unused_parameters=True)

    def settle(self, wrapped: nn.Module) -> nn.Module:
        """The wrapped task after its first step; it looks for unused parameters only if that step had some.

        A loss may leave parameters out (centres of absent classes, exits without a target). Looking for them walks
        the whole graph in every step, and waits for the device.
        """
        if not isinstance(wrapped, DistributedDataParallel) or not wrapped.find_unused_parameters:
            return wrapped
        # Those that no process used have no gradient, so all processes decide alike.
        if any(each.grad is None for each in wrapped.parameters() if each.requires_grad):
            return wrapped
        wrapped._remove_autograd_hooks()  # type: ignore[no-untyped-call]  # torch has no other way to unwrap
        return self._shared(wrapped.module, find_unused_parameters=False)

    def _shared(self, task: nn.Module, *, find_unused_parameters: bool) -> nn.Module:
        devices = None if self.device.index is None else [self.device.torch_device]
        return DistributedDataParallel(
            task,
            device_ids=devices,
            find_unused_parameters=find_unused_parameters,
            gradient_as_bucket_view=True,
        )

    def accumulating(self, wrapped: nn.Module, last: bool) -> AbstractContextManager[Any]:
        """Context of one micro-batch: gradients travel between processes with the last one only."""
        waits = isinstance(wrapped, DistributedDataParallel) and not last
        return wrapped.no_sync() if waits else nullcontext()  # type: ignore[operator]

    def autocast(self) -> AbstractContextManager[Any]:
        """Context in which the model runs in the chosen precision."""
        return self.device.autocast(self.precision)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of `loss`, under fp16 times the scale, to the parameters."""
        torch.autograd.backward(self.scaler.scale(loss))

    def unscale(self, *optimizers: torch.optim.Optimizer) -> bool:
        """Divide the gradients by fp16's scale again, and adapt it.

        Returns:
            False if a gradient overflowed: this pass is discarded, and the scale is halved.
        """
        if not self.scaler.is_enabled():
            return True
        scale = self.scaler.get_scale()
        for optimizer in optimizers:
            self.scaler.unscale_(optimizer)
        self.scaler.update()
        return self.scaler.get_scale() >= scale

    def describe(self) -> Machine:
        """The conditions that results and speed depend on."""
        several = distributed.size() > 1  # then an index says which process this is
        return Machine(
            device=self.device.name if several else str(self.device),
            precision=self.precision,
            compile=self.compile,
            deterministic=self.deterministic,
            threads=torch.get_num_threads(),
            processes=distributed.size(),
        )
