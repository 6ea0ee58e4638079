"""The processes in which torchrun started a command."""

from fer_core.distributed import launched_rank, stop

__all__ = ["launched_rank", "stop"]
