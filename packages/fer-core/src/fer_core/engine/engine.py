"""The engine: device, precision, and the preparation of a model for them."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from fer_core import distributed
from fer_core.components import find_value
from fer_core.errors import FerError
from fer_core.machine import Machine

if TYPE_CHECKING:
    from fer_core.engine.devices import Device
    from fer_core.types import Batch

AUTO_ORDER = ("cuda", "mps", "cpu")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Engine:
    """The resolved choices of a run. Make one with `Engine.start`.

    Attributes:
        device: Where the model computes.
        precision: `fp32`, `bf16` or `fp16`.
        compile: Whether `prepare` compiles the model.
        deterministic: Whether only deterministic algorithms are used.
        channels_last: Whether images lie with their channels last.
        scaler: Scales the loss under fp16, so that small gradients do not vanish; idle otherwise.
    """

    device: torch.device
    precision: str
    compile: bool
    deterministic: bool
    channels_last: bool
    scaler: torch.amp.GradScaler = field(default_factory=lambda: torch.amp.GradScaler("cpu", enabled=False))

    @classmethod
    def start(
        cls,
        device: str = "auto",
        precision: str = "auto",
        *,
        compile: bool = False,
        deterministic: bool | str = "auto",
    ) -> Engine:
        """Resolve `auto`, switch torch's global settings accordingly, and join the processes of torchrun.

        Args:
            device: `auto` (cuda, else mps, else cpu) or the name of a device, with an index as in `cuda:1`.
            precision: `auto` is bf16 where the hardware computes it natively, else fp16 on cuda, else fp32.
            compile: Whether `prepare` compiles the model.
            deterministic: `auto` is True on CPU and False elsewhere.

        Raises:
            FerError: The device is absent or the precision unknown; nothing is chosen in its place.
        """
        kind, where = _find_device(device)
        if precision == "auto":
            precision = "bf16" if kind.native_bf16() else "fp16" if where.type == "cuda" else "fp32"
        if precision not in kind.precisions:
            raise FerError(
                f"train.precision {precision} is not supported on {where}: use {' or '.join(kind.precisions)}"
            )
        distributed.start("nccl" if where.type == "cuda" else "gloo")
        exact = where.type == "cpu" if deterministic == "auto" else bool(deterministic)
        if exact and where.type == "cuda":
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(exact)
        # Filling fresh memory guards against code that reads it unwritten, which no operation here does.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.backends.cudnn.benchmark = not exact
        # TF32 keeps 10 of float32's 23 bits of mantissa: `fp32` means fp32, and bf16 is there for speed.
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        scaler = torch.amp.GradScaler(where.type, enabled=precision == "fp16")
        return cls(where, precision, compile, exact, kind.channels_last, scaler)

    def prepare(self, model: nn.Module) -> None:
        """Move the model to the device, lay out its weights for it and compile it if asked, all in place."""
        # Module.to without a layout keeps each weight's own, so the two calls differ.
        if self.channels_last:
            model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        else:
            model.to(self.device)
        if self.compile:
            model.compile()

    def place(self, batch: Batch) -> Batch:
        """The batch on the device, its images in the layout of the model."""
        moved = {key: value.to(self.device, non_blocking=True) for key, value in batch.items()}
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
        if sync_batch_norm and self.device.type != "cuda":
            raise FerError(
                f"train.sync_batch_norm is asked for on {self.device}, but torch synchronises BatchNorm on cuda "
                "alone: leave it out, or use --device cuda"
            )
        if distributed.size() == 1:
            return task
        if sync_batch_norm:
            task = nn.SyncBatchNorm.convert_sync_batchnorm(task)  # type: ignore[no-untyped-call]
        devices = [self.device.index] if self.device.type == "cuda" else None
        # A loss may leave parameters out (centres of absent classes, exits without a target).
        return DistributedDataParallel(task, device_ids=devices, find_unused_parameters=True)

    def accumulating(self, wrapped: nn.Module, last: bool) -> AbstractContextManager[Any]:
        """Context of one micro-batch: gradients travel between processes with the last one only."""
        waits = isinstance(wrapped, DistributedDataParallel) and not last
        return wrapped.no_sync() if waits else nullcontext()  # type: ignore[operator]

    def autocast(self) -> AbstractContextManager[Any]:
        """Context in which the model runs in the chosen precision."""
        return torch.autocast(self.device.type, dtype=DTYPES[self.precision], enabled=self.precision != "fp32")

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of `loss`, under fp16 times the scale, to the parameters."""
        torch.autograd.backward(self.scaler.scale(loss))

    def unscale(self, optimizer: torch.optim.Optimizer) -> bool:
        """Divide the gradients by fp16's scale again, and adapt it.

        Returns:
            False if a gradient overflowed: this pass is discarded, and the scale is halved.
        """
        if not self.scaler.is_enabled():
            return True
        scale = self.scaler.get_scale()
        self.scaler.unscale_(optimizer)
        self.scaler.update()
        return self.scaler.get_scale() >= scale

    def describe(self) -> Machine:
        """The conditions that results and speed depend on."""
        return Machine(
            device=str(self.device),
            precision=self.precision,
            compile=self.compile,
            deterministic=self.deterministic,
            threads=torch.get_num_threads(),
            processes=distributed.size(),
        )


def _find_device(name: str) -> tuple[Device, torch.device]:
    if name == "auto":
        candidates = ((kind, find_value("devices", kind)) for kind in AUTO_ORDER)
        kind, device = next((kind, device) for kind, device in candidates if device.missing() is None)
        return device, _own_device(device)
    kind, _, index = name.partition(":")
    device = find_value("devices", kind)
    reason = device.missing()
    if reason is not None:
        raise FerError(f"device {name} is not available: {reason}; use --device auto or --device cpu")
    if not index:
        return device, _own_device(device)
    if distributed.launched() > 1:
        raise FerError(f"device {name} is one device, but torchrun started several processes: use --device {kind}")
    count = torch.get_device_module(device.torch_name).device_count()
    if not index.isdecimal() or int(index) >= count:
        raise FerError(f"device {name} does not exist: {kind} has indices 0 to {count - 1}; correct --device")
    return device, torch.device(device.torch_name, int(index))


def _own_device(device: Device) -> torch.device:
    """The device of this process: with several processes on a machine, one GPU each."""
    if device.torch_name == "cpu" or distributed.launched() == 1:
        return torch.device(device.torch_name)
    count = torch.get_device_module(device.torch_name).device_count()
    if distributed.local_rank() >= count:
        raise FerError(
            f"torchrun started more processes than this machine has devices of {device.torch_name} ({count}): use "
            f"--nproc-per-node {count}"
        )
    own = torch.device(device.torch_name, distributed.local_rank())
    torch.get_device_module(device.torch_name).set_device(own)
    return own
