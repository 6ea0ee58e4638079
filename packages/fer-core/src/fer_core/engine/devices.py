"""The devices that runs compute on; plugins add others through `fer_devices`."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

DTYPES: Mapping[str, torch.dtype] = {
    "fp32": torch.float32,
    "tf32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}

ALIGNED = 16
"""Bytes to whose multiples tensors that share a copy begin: at least the size of a number."""


class Device:
    """A device to compute on.

    Subclass it for another kind of device and name the class in `fer_devices`. The defaults suit any device that
    torch knows by its type; what only some devices have (streams, pinned memory, counters of memory) does nothing.

    Args:
        name: Registered name; by default `torch_name`.
        index: Which of several devices; None for the one that torch takes by itself.

    Attributes:
        torch_name: Device type as torch spells it.
        on_host: Whether it computes on the processors of this machine, in the caller's time. If so, all processes
            of a run share it, batches are not prepared ahead, and nothing has to be waited for.
        precisions: What `train.precision` may be. `tf32` is taken as `fp32` where it is not among them.
        channels_last: Whether convolutions are quicker in that memory layout.
        deterministic: What `train.deterministic=auto` stands for.
        records: Whether it can record work and replay it.
        sync_batch_norm: Whether torch can take the statistics of BatchNorm over all processes.
        backend: How processes exchange tensors, as `torch.distributed.init_process_group` takes it. Plain values
            travel as tensors of the host, so a backend of an accelerator is written `cpu:gloo,TYPE:BACKEND`.
        priority: `--device auto` takes the available device with the highest; None: never.
    """

    torch_name: str
    on_host: bool = False
    precisions: Sequence[str] = ("fp32", "bf16", "fp16")
    channels_last: bool = True
    deterministic: bool = False
    records: bool = False
    sync_batch_norm: bool = False
    backend: str = "gloo"
    priority: int | None = None

    def __init__(self, name: str = "", index: int | None = None) -> None:
        self.name = name or self.torch_name
        self.index = index

    def __str__(self) -> str:
        return self.name if self.index is None else f"{self.name}:{self.index}"

    @cached_property
    def torch_device(self) -> torch.device:
        """The device as torch knows it."""
        return torch.device(self.torch_name) if self.index is None else torch.device(self.torch_name, self.index)

    def missing(self) -> str | None:
        """Why the device cannot be used here, such as "torch sees no CUDA device"; None when it can."""
        return None

    def count(self) -> int:
        """How many devices of this kind there are."""
        return int(torch.get_device_module(self.torch_name).device_count())

    def select(self) -> None:
        """Make it the one that torch takes by itself; called once, where it has an index."""
        torch.get_device_module(self.torch_name).set_device(self.torch_device)

    def hardware(self) -> str:
        """Name of the processor, for the records of benchmarks."""
        return self.name

    def native_precisions(self) -> Sequence[str]:
        """What the hardware computes itself instead of emulating it, the quickest first: `auto` takes that."""
        return ("fp32",)

    def resolve(self, precision: str) -> str:
        """The precision that is computed in where `precision` is asked for: `fp32` where there is no `tf32`."""
        return "fp32" if precision == "tf32" and precision not in self.precisions else precision

    def set_precision(self, precision: str) -> None:
        """Set torch's global switches for a resolved precision, where there are any."""

    def set_deterministic(self, exact: bool) -> None:
        """Allow only algorithms that give equal results for equal inputs, or any."""
        # `use_deterministic_algorithms` does the same, and imports the compiler.
        torch.set_deterministic_debug_mode("error" if exact else "default")
        # Filling fresh memory guards against code that reads it unwritten, which no operation here does.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]

    def autocast(self, precision: str) -> AbstractContextManager[Any]:
        """Context in which a model runs in a resolved precision."""
        kind = DTYPES[precision]
        return torch.autocast(self.torch_name, dtype=kind, enabled=kind != torch.float32)

    def scaler(self, precision: str) -> torch.amp.GradScaler:
        """What scales the loss, so that small gradients do not vanish; enabled for `fp16` only."""
        return torch.amp.GradScaler(self.torch_name, enabled=precision == "fp16")

    def place(self, tensor: Tensor) -> Tensor:
        """The tensor on the device; the copy is not waited for where it can be queued."""
        return self.pinned(tensor).to(self.torch_device, non_blocking=True)

    def place_all(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Tensors of the host on the device, by one copy: they lie side by side there."""
        if self.on_host or not tensors:
            return list(tensors)
        sizes = [tensor.numel() * tensor.element_size() for tensor in tensors]
        ends = list(accumulate(-(-size // ALIGNED) * ALIGNED for size in sizes))
        table = torch.empty(ends[-1], dtype=torch.uint8)
        for tensor, size, begin in zip(tensors, sizes, [0, *ends], strict=False):
            table[begin : begin + size] = tensor.contiguous().flatten().view(torch.uint8)
        placed = self.place(table)
        return [
            placed[begin : begin + size].view(tensor.dtype).view(tensor.shape)
            for tensor, size, begin in zip(tensors, sizes, [0, *ends], strict=False)
        ]

    def pinned(self, tensor: Tensor) -> Tensor:
        """A copy in page-locked memory of the host, from which the device copies by itself.

        The tensor itself where there is no such memory, or where it is not in the host's memory.
        """
        return tensor

    def stream(self) -> Any:
        """A new queue of work beside torch's current one; None where a device has one queue only."""
        return None

    def within(self, stream: Any) -> AbstractContextManager[Any]:
        """Context in which the calling thread queues its work in `stream`."""
        return nullcontext()

    def event(self) -> Any:
        """A mark after the work that the calling thread has queued so far; None where there are no streams."""
        return None

    def wait(self, event: Any, tensors: Iterable[Tensor]) -> None:
        """Let work that is queued from now on begin after `event`; the host does not wait.

        Args:
            event: What `event` gave, maybe in another thread and stream.
            tensors: What was made in that stream and is used in this one: their memory is not reused before.
        """

    def fetch(self, tensor: Tensor) -> Callable[[], Tensor]:
        """Begin to copy a tensor to the host.

        Returns:
            What gives the copy; it waits for that alone where the device has streams, else for all queued work.
        """
        return tensor.cpu

    def record(self, work: Callable[[], T]) -> tuple[Callable[[], None], T]:
        """Record what `work` would queue, without doing it.

        Returns:
            What queues it again, reading and writing the same memory; and what `work` returned, whose tensors are
            written each time.

        Raises:
            NotImplementedError: `records` is False.
        """
        raise NotImplementedError(f"{self} cannot record work")

    def synchronize(self) -> None:
        """Wait until all queued work is done."""
        torch.get_device_module(self.torch_name).synchronize()

    def room(self) -> int:
        """Bytes of its own memory that are free, in which data may live; 0 where that is not known."""
        return 0

    def peak_memory(self) -> int | None:
        """Bytes that were in use at most since `reset_peak_memory`; None where that is not known."""
        return None

    def reset_peak_memory(self) -> None:
        """Begin to look for the largest use of memory anew."""

    def free_memory(self) -> None:
        """Give memory back that torch keeps for later tensors."""

    def shares(self) -> Sequence[dict[str, str]]:
        """For each device of this kind the environment variables with which a process sees no other.

        Parallel runs of an experiment get them in turn. Empty: runs are not told apart.
        """
        return ()


class Cpu(Device):
    """The processors of this machine."""

    torch_name = "cpu"
    on_host = True
    deterministic = True
    priority = 0

    def hardware(self) -> str:
        """The model name that Linux gives, else what Python knows."""
        information = Path("/proc/cpuinfo")
        if information.is_file():
            for line in information.read_text().splitlines():
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
        return platform.processor() or platform.machine()

    def native_precisions(self) -> Sequence[str]:
        """`bf16` with AVX-512 BF16 or AMX."""
        # torch keeps these two probes private; without them bf16 on a CPU would be chosen blindly.
        probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        fast = any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)
        return ("bf16", "fp32") if fast else ("fp32",)

    def peak_memory(self) -> int | None:
        """Of all of this process, on Linux."""
        status = Path("/proc/self/status")
        lines = status.read_text().splitlines() if status.is_file() else []
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)

    def reset_peak_memory(self) -> None:
        """Linux: 5 sets the high-water mark back to what is in use (proc(5))."""
        if Path("/proc/self/status").is_file():
            Path("/proc/self/clear_refs").write_text("5")


class Cuda(Device):
    """A GPU of NVIDIA, or of AMD with ROCm."""

    torch_name = "cuda"
    precisions = ("fp32", "tf32", "bf16", "fp16")
    records = True
    sync_batch_norm = True
    backend = "cpu:gloo,cuda:nccl"
    priority = 20

    def missing(self) -> str | None:
        """Whether this torch was built for GPUs, and sees one."""
        if torch.version.cuda is None and torch.version.hip is None:
            return "this torch was built without CUDA"
        return None if torch.cuda.is_available() else "torch sees no CUDA device"

    def hardware(self) -> str:
        """Name of the GPU."""
        return torch.cuda.get_device_name(self.torch_device)

    def native_precisions(self) -> Sequence[str]:
        """`bf16` from Ampere on."""
        return ("bf16", "fp16", "fp32") if torch.cuda.get_device_capability()[0] >= 8 else ("fp16", "fp32")

    def resolve(self, precision: str) -> str:
        """TF32 is there from NVIDIA's Ampere on."""
        if precision == "tf32" and (torch.version.hip or torch.cuda.get_device_capability()[0] < 8):
            return "fp32"
        return precision

    def set_precision(self, precision: str) -> None:
        """`tf32` is what torch does by default: TF32 in convolutions, and none in matrix products."""
        # TF32 keeps 10 of float32's 23 bits of mantissa: `fp32` means fp32.
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = precision == "tf32"

    def set_deterministic(self, exact: bool) -> None:
        """Also the algorithms of cuBLAS and cuDNN."""
        if exact:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        super().set_deterministic(exact)
        torch.backends.cudnn.benchmark = not exact

    def pinned(self, tensor: Tensor) -> Tensor:
        """A copy of a tensor of the host."""
        return tensor.pin_memory() if tensor.device.type == "cpu" else tensor

    def stream(self) -> torch.cuda.Stream:
        """A stream of CUDA."""
        return torch.cuda.Stream(self.torch_device)  # type: ignore[no-untyped-call]

    def within(self, stream: torch.cuda.Stream) -> AbstractContextManager[Any]:
        """The stream as the current one."""
        return torch.cuda.stream(stream)

    def event(self) -> torch.cuda.Event:
        """An event in the current stream."""
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()
        return event

    def wait(self, event: torch.cuda.Event, tensors: Iterable[Tensor]) -> None:
        """The current stream waits; the allocator learns that it uses the tensors."""
        stream = torch.cuda.current_stream(self.torch_device)
        stream.wait_event(event)
        for tensor in tensors:
            tensor.record_stream(stream)

    def fetch(self, tensor: Tensor) -> Callable[[], Tensor]:
        """Through page-locked memory, behind an event."""
        copy = tensor.to("cpu", non_blocking=True)
        event = self.event()

        def arrived() -> Tensor:
            event.synchronize()
            return copy

        return arrived

    def record(self, work: Callable[[], T]) -> tuple[Callable[[], None], T]:
        """A CUDA graph."""
        graph = torch.cuda.CUDAGraph()
        # Other threads may allocate meanwhile: one of them prepares batches.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            result = work()
        return graph.replay, result

    def room(self) -> int:
        """What the driver says."""
        return int(torch.cuda.mem_get_info(self.torch_device)[0])

    def peak_memory(self) -> int | None:
        """What torch allocated."""
        return torch.cuda.max_memory_allocated(self.torch_device)

    def reset_peak_memory(self) -> None:
        """Of what torch allocates."""
        torch.cuda.reset_peak_memory_stats(self.torch_device)

    def free_memory(self) -> None:
        """What no tensor uses."""
        torch.cuda.empty_cache()

    def shares(self) -> Sequence[dict[str, str]]:
        """The visible GPUs, one by one."""
        count = torch.cuda.device_count()
        named = [part for part in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if part]
        visible = named[:count] if named else [str(index) for index in range(count)]
        return [{"CUDA_VISIBLE_DEVICES": gpu} for gpu in visible]


class Mps(Device):
    """The GPU of an Apple computer."""

    torch_name = "mps"
    channels_last = False
    priority = 10

    def missing(self) -> str | None:
        """Whether torch sees one."""
        return None if torch.backends.mps.is_available() else "torch sees no Apple GPU"

    def select(self) -> None:
        """There is one only."""
