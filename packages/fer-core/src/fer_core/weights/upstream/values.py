"""Objects of a foreign pickle: inert stand-ins, and tensors that are claims until they are read."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor

MAX_DIMENSIONS = 64
NUMBER = re.compile(r"[fiub][1248]")
"""Type codes of arrays that have a tensor type."""


@dataclass(frozen=True, eq=False)
class Global:
    """A class or function that the pickle names. It is never imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Inert:
    """An object of a class that is not known: it keeps what the pickle puts into it, and does nothing."""

    kind: Global
    state: dict[Any, Any] = field(default_factory=dict)
    entries: dict[Any, Any] = field(default_factory=dict)


@dataclass(eq=False)
class Storage:
    """Bytes that tensors look into, read from the file when a tensor is first needed."""

    dtype: torch.dtype
    nbytes: int
    read: Callable[[], bytearray]
    loaded: Tensor | None = None

    def bytes(self) -> Tensor:
        """The content, uint8 [nbytes]."""
        if self.loaded is None:
            content = self.read()
            self.loaded = torch.frombuffer(content, dtype=torch.uint8) if content else torch.empty(0).byte()
        return self.loaded


@dataclass(frozen=True, eq=False)
class TensorClaim:
    """A tensor as the pickle describes it, within its storage."""

    storage: Storage
    dtype: torch.dtype
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def __post_init__(self) -> None:
        numbers = (self.offset, *self.size, *self.stride)
        if len(self.size) != len(self.stride) or len(self.size) > MAX_DIMENSIONS:
            raise ValueError("a tensor's size and stride do not belong together")
        if any(type(number) is not int or number < 0 for number in numbers):
            raise ValueError("a tensor's size, stride or offset is not a whole number")
        room, numel = self.storage.nbytes // self.dtype.itemsize, math.prod(self.size)
        last = self.offset + sum((n - 1) * step for n, step in zip(self.size, self.stride, strict=True))
        if numel > room or (numel and last >= room):
            raise ValueError(f"a tensor of shape {list(self.size)} claims more than its {room} stored numbers")

    def tensor(self) -> Tensor:
        """The tensor, a view of its storage."""
        if math.prod(self.size) == 0:
            return torch.empty(self.size, dtype=self.dtype)
        whole = self.storage.nbytes // self.dtype.itemsize * self.dtype.itemsize
        return self.storage.bytes()[:whole].view(self.dtype).as_strided(self.size, self.stride, self.offset)


@dataclass(eq=False)
class DType:
    """A numpy type: `code` such as f4, and the byte order that a later state brings."""

    code: str
    order: str = "="

    def resolve(self) -> np.dtype[Any]:
        """The type, of numbers only."""
        if not NUMBER.fullmatch(self.code) or self.order not in ("<", ">", "=", "|"):
            raise ValueError(f"an array holds {self.code!r}, which is not a type of number that a tensor can hold")
        return np.dtype(self.order.replace("|", "=") + self.code)


@dataclass(eq=False)
class Array:
    """A numpy array, filled by the state that follows it."""

    shape: tuple[int, ...] = (0,)
    dtype: DType = field(default_factory=lambda: DType("f4"))
    fortran: bool = False
    data: bytes = b""

    def fill(self, state: Sequence[Any]) -> None:
        """Take (version, shape, dtype, is Fortran order, bytes), or the same without version."""
        shape, dtype, fortran, data = state[-4:]
        content = data.encode("latin-1") if isinstance(data, str) else data
        if not isinstance(dtype, DType) or not isinstance(content, bytes | bytearray):
            raise ValueError("an array holds objects, not numbers")
        self.shape, self.dtype, self.fortran, self.data = tuple(shape), dtype, bool(fortran), bytes(content)

    def tensor(self) -> Tensor:
        """A tensor of the same numbers."""
        kind = self.dtype.resolve()
        if any(type(n) is not int or n < 0 for n in self.shape) or len(self.shape) > MAX_DIMENSIONS:
            raise ValueError("an array's shape is not a list of whole numbers")
        if math.prod(self.shape) * kind.itemsize != len(self.data):
            raise ValueError(f"an array of shape {list(self.shape)} claims more or less than its stored numbers")
        numbers = np.frombuffer(self.data, dtype=kind).reshape(self.shape, order="F" if self.fortran else "C")
        return torch.from_numpy(np.array(numbers, dtype=kind.newbyteorder("="), order="C"))
