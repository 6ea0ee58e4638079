"""Number formats: what computes in full precision also under autocast."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def at_least_float32(tensor: Tensor) -> Tensor:
    """`tensor` in its own precision, or in float32 where that is lower (float16, bfloat16)."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def no_autocast(device: torch.device) -> AbstractContextManager[object]:
    """A context in which autocast on `device` changes no number format."""
    known = torch.amp.is_autocast_available(device.type)  # not so for meta, on which operations are counted
    return torch.autocast(device.type, enabled=False) if known else nullcontext()
