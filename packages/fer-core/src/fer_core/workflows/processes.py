"""What a command has to know of the processes that torchrun started it in."""

from fer_core.distributed import launched_rank, stop

__all__ = ["launched_rank", "stop"]
