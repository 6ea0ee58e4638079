"""Values that a method keeps for every training sample."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Self

import torch
from torch import Tensor, nn

from fer_core import distributed
from fer_core.errors import FerError


class SampleBuffer(nn.Module):
    """A value for every training sample: its corrected label, an average of its predictions, its last loss.

    `buffer[batch["index"]]` reads, `buffer[batch["index"]] = values` writes. As an attribute of a loss it belongs
    to the state of the run. A process reads at once what it wrote; the others read it from the next step on. Of
    several values for one sample in a step the last counts. A finished run has those of shape () in `samples.csv`,
    beside `id` and `label`.

    Args:
        samples: Number of training samples, `TaskInfo.samples`.
        shape: Of the value of a sample, () for a number.
        dtype: Of the values.
        fill: Value of a sample that was never written.
    """

    def __init__(
        self,
        samples: int,
        shape: tuple[int, ...] = (),
        *,
        dtype: torch.dtype = torch.float32,
        fill: float = 0,
    ) -> None:
        super().__init__()
        # Not a buffer of torch's: before each step those of the main process replace everyone's.
        self._values = torch.full((samples, *shape), fill, dtype=dtype)
        self._unshared: list[tuple[Tensor, Tensor]] = []

    @property
    def values(self) -> Tensor:
        """The values of all samples, [samples, *shape]. Write by index: only then do other processes see it."""
        return self._values

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._values)

    def __getitem__(self, index: Tensor) -> Tensor:
        """A copy of the values of some samples, [n, *shape], for their numbers, int64 [n]."""
        return self._values[index]

    @torch.no_grad()
    def __setitem__(self, index: Tensor, values: Tensor | float) -> None:
        """Write the values of some samples, [n, *shape] or one number for all, for their numbers, int64 [n]."""
        given = torch.as_tensor(values, dtype=self._values.dtype, device=index.device).detach()
        given = given.expand(len(index), *self._values.shape[1:])
        self._write(index, given)
        if distributed.size() > 1:
            self._unshared.append((index, given.clone()))

    def merge(self) -> None:
        """Give all processes what each has written since the last call. The trainer calls it after every step."""
        if distributed.size() == 1:
            return
        empty = (torch.empty(0, dtype=torch.int64, device=self._values.device), self._values[:0])
        index, values = (torch.cat(parts) for parts in zip(empty, *self._unshared, strict=True))
        self._unshared = []
        self._write(distributed.gather_rows(index), distributed.gather_rows(values))

    def _write(self, index: Tensor, values: Tensor) -> None:
        """Equal values for equal numbers: torch does not say which of several it keeps."""
        ordered, order = torch.sort(index, stable=True)
        last = order[torch.searchsorted(ordered, index, right=True) - 1]
        self._values[index] = values[last]

    def get_extra_state(self) -> Tensor:
        """The values, for `state_dict`."""
        return self._values

    def set_extra_state(self, state: Tensor) -> None:
        """Restore values. Raises FerError if they are those of another number of samples or another shape."""
        if state.shape != self._values.shape or state.dtype != self._values.dtype:
            raise FerError(
                f"values of {len(state)} samples, {_form(state)}, do not fit a SampleBuffer of {len(self)}, "
                f"{_form(self._values)}: resume with the data and the loss that were saved"
            )
        self._values.copy_(state)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move with the module."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._values = fn(self._values)
        return self

    def extra_repr(self) -> str:
        """Size and type."""
        return f"{len(self)} samples, {_form(self._values)}"


def _form(values: Tensor) -> str:
    return f"{prod(values.shape[1:])} x {str(values.dtype).removeprefix('torch.')} each"
