"""The processes of one run, as started by `torchrun`. In a run of one process every function is a no-op."""

from __future__ import annotations

import gc
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = [
    "all_sum",
    "any_of",
    "gather",
    "gather_rows",
    "is_main",
    "main_first",
    "rank",
    "share",
    "share_buffers",
    "size",
]
"""What plugins call; the rest starts and ends the processes."""


def launched() -> int:
    """Number of processes that torchrun started, 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def launched_rank() -> int:
    """Number that torchrun gave this process, 0 without it; known before `start`."""
    return int(os.environ.get("RANK", "0")) if launched() > 1 else 0


def local_rank() -> int:
    """Number of this process on its machine, which is also its GPU's."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def start(backend: str) -> None:
    """Join the other processes. Call it once, before anything else here.

    Args:
        backend: As `torch.distributed.init_process_group` takes it. Plain values and flags travel as tensors of
            the host, so it has to name a backend for those, too.
    """
    import torch.distributed as dist

    if launched() > 1 and not dist.is_initialized():
        # Its signatures name the group of the moment they are read in: read in later, they would keep it for good.
        import torch.distributed.nn  # noqa: F401

        dist.init_process_group(backend)


def stop() -> None:
    """Leave the other processes, at the very end, when nothing refers to a module that `Engine.wrap` returned.

    It ends gloo's threads. One that still has a tensor to give back while Python shuts down aborts the process.
    """
    if launched() == 1:
        return
    import torch.distributed as dist

    gc.collect()  # a run is a cycle of objects, and its wrapped network holds the group
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def size() -> int:
    """Number of processes of the run."""
    import torch.distributed as dist

    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Number of this process, 0 for the one that writes."""
    import torch.distributed as dist

    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def is_main() -> bool:
    """Whether this process writes and prints."""
    return rank() == 0


def all_sum(tensor: Tensor) -> Tensor:
    """The sum over all processes, the same on each. A loss sums what `after_epoch` collected by it."""
    import torch.distributed as dist

    if size() == 1:
        return tensor
    total = tensor.clone()
    dist.all_reduce(total)
    return total


def gather_rows(tensor: Tensor) -> Tensor:
    """The rows of every process's tensor, [n, ...] with an n of its own, in the order of their ranks, on each."""
    import torch
    import torch.distributed as dist

    if size() == 1:
        return tensor
    counts = [torch.zeros(1, dtype=torch.int64) for _ in range(size())]
    dist.all_gather(counts, torch.tensor([len(tensor)]))
    lengths = [int(count) for count in counts]
    if not any(lengths):
        return tensor
    # As bytes, since gloo knows few types of numbers, and of one length, since torch gathers nothing else.
    width = math.prod(tensor.shape[1:]) * tensor.element_size()
    own = torch.zeros(max(lengths), width, dtype=torch.uint8, device=tensor.device)
    own[: len(tensor)] = tensor.contiguous().view(torch.uint8).reshape(len(tensor), width)
    shares = [torch.empty_like(own) for _ in lengths]
    dist.all_gather(shares, own)
    rows = torch.cat([share[:length] for share, length in zip(shares, lengths, strict=True)])
    return rows.flatten().view(tensor.dtype).view(sum(lengths), *tensor.shape[1:])


def gather(value: Any) -> list[Any]:
    """The value of every process in the order of their ranks, on each of them."""
    import torch.distributed as dist

    values = [value] * size()
    if size() > 1:
        dist.all_gather_object(values, value)
    return values


def share(value: Any) -> Any:
    """The main process's value, on every process."""
    import torch.distributed as dist

    values = [value]
    if size() > 1:
        dist.broadcast_object_list(values, src=0)
    return values[0]


def share_buffers(module: nn.Module) -> None:
    """Give every process the main one's buffers, such as the running statistics of BatchNorm.

    Training does so before each step; what uses a module between steps has to ask for it.
    """
    import torch
    import torch.distributed as dist

    if size() == 1:
        return
    with torch.no_grad():
        for buffer in module.buffers():
            whole = buffer.contiguous()  # torch broadcasts nothing else
            dist.broadcast(whole, src=0)
            buffer.copy_(whole)


def any_of(flag: bool) -> bool:
    """Whether the flag is set on any process."""
    import torch

    return flag if size() == 1 else bool(all_sum(torch.tensor(float(flag))).item())


class LateFlag:
    """A flag that any process may raise, known to all of them one call later, so that none has to wait."""

    def __init__(self) -> None:
        self._sent: tuple[Tensor, Any] | None = None

    def any_of(self, flag: bool) -> bool:
        """Whether the flag was set on any process in the call before; all processes call it as often.

        Args:
            flag: Whether it is set on this process; where there are no others, that is the result.
        """
        import torch
        import torch.distributed as dist

        if size() == 1:
            return flag
        before, total = self._sent, torch.tensor(float(flag))
        self._sent = total, dist.all_reduce(total, async_op=True)
        if before is None:
            return False
        before[1].wait()
        return bool(before[0])


@contextmanager
def main_first() -> Iterator[None]:
    """The main process executes the block before the others, which find its results."""
    if not is_main():
        share(None)
    yield
    if is_main():
        share(None)


def peer_is_gone(error: BaseException) -> bool:
    """Whether an error of torch says that another process of the run has ended."""
    marks = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "NCCL", "Socket", "timed out")
    return isinstance(error, RuntimeError) and size() > 1 and any(mark in str(error) for mark in marks)


def gradient_is_missing(error: BaseException) -> bool:
    """Whether an error of torch says that a parameter got no gradient in the step before, though all were to."""
    return isinstance(error, RuntimeError) and "Expected to have finished reduction" in str(error)
