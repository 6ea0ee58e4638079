"""One place that knows the device, the precision and how a model is made ready for them."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fer_core import registry
from fer_core.errors import FerError

if TYPE_CHECKING:
    from fer_core.engine.devices import Device
    from fer_core.types import Batch

AUTO_ORDER = ("cuda", "mps", "cpu")
PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True)
class Engine:
    """The resolved choices of a run. Make one with `Engine.start`."""

    device: torch.device
    precision: str
    compile: bool
    deterministic: bool
    channels_last: bool

    @classmethod
    def start(
        cls,
        device: str = "auto",
        precision: str = "auto",
        *,
        compile: bool = False,
        deterministic: bool | str = "auto",
    ) -> Engine:
        """Resolve `auto` and switch torch's global settings accordingly.

        Args:
            device: `auto` (cuda, else mps, else cpu) or the name of a device, with an index as in `cuda:1`.
            precision: `auto` is bf16 where the hardware computes it natively, else fp32.
            compile: Whether `prepare` compiles the model.
            deterministic: `auto` is True on CPU and False elsewhere.

        Raises:
            FerError: The device is absent or the precision unknown; nothing is chosen in its place.
        """
        kind, where = _find_device(device)
        if precision == "auto":
            precision = "bf16" if kind.native_bf16() else "fp32"
        if precision not in PRECISIONS:
            raise FerError(f"precision {precision} is not supported on {where}: use {' or '.join(PRECISIONS)}")
        exact = where.type == "cpu" if deterministic == "auto" else bool(deterministic)
        if exact and where.type == "cuda":
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(exact)
        # Filling fresh memory guards against code that reads it unwritten, which no operation here does.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.backends.cudnn.benchmark = not exact
        return cls(where, precision, compile, exact, kind.channels_last)

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

    def autocast(self) -> AbstractContextManager[Any]:
        """Context in which the model runs in the chosen precision."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16")

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of `loss` to the parameters."""
        torch.autograd.backward(loss)

    def describe(self) -> dict[str, object]:
        """Plain values for `env.json`."""
        return {
            "device": str(self.device),
            "precision": self.precision,
            "compile": self.compile,
            "deterministic": self.deterministic,
            "threads": torch.get_num_threads(),
        }


def _find_device(name: str) -> tuple[Device, torch.device]:
    if name == "auto":
        candidates = ((kind, registry.find("devices", kind)) for kind in AUTO_ORDER)
        kind, device = next((kind, device) for kind, device in candidates if device.missing() is None)
        return device, torch.device(device.torch_name)
    kind, _, index = name.partition(":")
    device = registry.find("devices", kind)
    reason = device.missing()
    if reason is not None:
        raise FerError(f"device {name} is not available: {reason}; use --device auto or --device cpu")
    if not index:
        return device, torch.device(device.torch_name)
    count = torch.get_device_module(device.torch_name).device_count()
    if not index.isdecimal() or int(index) >= count:
        raise FerError(f"device {name} does not exist: {kind} has indices 0 to {count - 1}; correct --device")
    return device, torch.device(device.torch_name, int(index))
