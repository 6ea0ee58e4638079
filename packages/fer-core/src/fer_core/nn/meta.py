"""Modules without content, whatever their sizes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

DRAWS = (Tensor.normal_, Tensor.uniform_, nn.init.normal_, nn.init.uniform_)


class _Undrawn(TorchFunctionMode):
    """Leaves out drawing values that nothing holds: torch would import its compiler for that."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensor: Any = args[0] if args else (kwargs or {}).get("tensor")
        return tensor if func in DRAWS and tensor.is_meta else func(*args, **(kwargs or {}))


@contextmanager
def without_content() -> Iterator[None]:
    """Within, modules are built on torch's device `meta`: shapes without memory. Not every model can be."""
    with torch.device("meta"), _Undrawn():
        yield
