"""The machine and the precision of a computation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fer_core.records import Count, Name, Record

_AtLeastOne = Annotated[Count, Field(ge=1)]


class Machine(Record):
    """What speed, and the last bits of results, depend on.

    Attributes:
        device: Such as `cpu` or `cuda:0`.
        precision: Arithmetic of the model.
        compile: Whether the model was compiled.
        deterministic: Whether only deterministic algorithms were allowed.
        threads: CPU threads of torch.
        processes: Processes of the training.
    """

    device: Name
    precision: Name
    compile: bool
    deterministic: bool
    threads: _AtLeastOne
    processes: _AtLeastOne
