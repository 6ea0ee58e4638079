"""The machine and the precision of a computation, and its memory."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import Annotated, Literal

from pydantic import Field

from fer_core.records import Count, Name, Record

Compile = Literal[False, "default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"]
"""False, or a mode of `torch.compile`."""
_AtLeastOne = Annotated[Count, Field(ge=1)]


class Machine(Record):
    """What speed, and the last bits of results, depend on.

    Attributes:
        device: Such as `cpu` or `cuda:0`.
        precision: Arithmetic of the model.
        compile: In which mode model and loss were compiled, False if they were not.
        deterministic: Whether only deterministic algorithms were allowed.
        threads: CPU threads of torch.
        processes: Processes of the training.
    """

    device: Name
    precision: Name
    compile: Compile
    deterministic: bool
    threads: _AtLeastOne
    processes: _AtLeastOne


def return_freed_memory() -> None:
    """Give freed memory back to the system.

    glibc keeps much of it: 90 MB of a ResNet-18 that was read and fused, 200 MB of an image of 49 million pixels.
    """
    with suppress(AttributeError, OSError, TypeError):  # other systems have no `malloc_trim`
        ctypes.CDLL(None).malloc_trim(0)
