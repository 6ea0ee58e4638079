"""The devices of the core; plugins add others through `fer_devices`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Device:
    """A kind of accelerator.

    Attributes:
        torch_name: Device type as torch spells it.
        missing: Says why the device cannot be used here, None when it can.
        native_bf16: Whether the hardware multiplies bfloat16 itself rather than emulating it.
        channels_last: Whether convolutions are quicker in that memory layout.
        precisions: What `train.precision` may be.
    """

    torch_name: str
    missing: Callable[[], str | None]
    native_bf16: Callable[[], bool]
    channels_last: bool = True
    precisions: tuple[str, ...] = ("fp32", "bf16", "fp16")


def _no_cuda() -> str | None:
    if torch.version.cuda is None and torch.version.hip is None:
        return "this torch was built without CUDA"
    return None if torch.cuda.is_available() else "torch sees no CUDA device"


def _no_mps() -> str | None:
    return None if torch.backends.mps.is_available() else "torch sees no Apple GPU"


def _cpu_has_bf16() -> bool:
    # torch keeps these two probes private; without them bf16 on a CPU would be chosen blindly.
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)


def _cuda_has_bf16() -> bool:
    return torch.cuda.get_device_capability()[0] >= 8


cpu = Device("cpu", lambda: None, _cpu_has_bf16)
cuda = Device("cuda", _no_cuda, _cuda_has_bf16)
mps = Device("mps", _no_mps, lambda: False, channels_last=False)
