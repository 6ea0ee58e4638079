"""The CPU under another name: a device that anybody can run, to start one's own from."""

from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from fer_core.plugin import Device


class Alias(Device):
    """Trains in bf16 where that is asked for, and always predicts in fp32."""

    torch_name = "cpu"
    on_host = True
    deterministic = True
    precisions = ("fp32", "bf16")
    backend = "alias"

    def autocast(self, precision: str) -> AbstractContextManager[Any]:
        """Half precision only where gradients are computed."""
        enabled = precision == "bf16" and torch.is_grad_enabled()
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled)


def connect(store: dist.Store, rank: int, size: int, timeout: timedelta) -> Any:
    """Join the processes of a run: a backend of your own would be made here, this one is gloo."""
    return dist.ProcessGroupGloo(store, rank, size, timeout)


dist.Backend.register_backend("alias", connect, devices=["cpu"])
