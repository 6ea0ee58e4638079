"""A GPU that is pretended: work of the host is done, work of the GPU is only counted.

Torch's fake tensors have a shape, a type and the device `cuda`, and no values. With them the loop, the loader, the
networks and the optimizers run unchanged, and `Trace` tells what they would have asked of a GPU. An operator whose
result has a shape that depends on values, such as `nonzero`, raises an error of torch that names it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from unittest import mock

import torch
from fer_core.engine.devices import Cuda
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.optim import optimizer
from torch.utils import _foreach_utils
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

Result = TypeVar("Result")
aten = torch.ops.aten
TO, COPY = aten._to_copy.default, aten.copy_.default
READS = (aten._local_scalar_dense.default, aten.is_nonzero.default, aten.equal.default)
"""Operators that tell the host a value."""
FREE = ("detach", "lift", "alias", "_unsafe_view", "empty", "new_empty", "set_", "sym_", "_reshape_alias")
"""Operators that start no work, beside views."""


@dataclass
class Trace:
    """What was asked of the GPU.

    Attributes:
        calls: How often each operator was called that starts work there.
        waits: Why the host waited, once for each time.
        uploads: Copies from the host.
        operators: The calls in their order, with shapes and types of what they were given.
        reads: The storages that were there before.
        made: The storages that were not.
    """

    calls: Counter[str] = field(default_factory=Counter)
    waits: list[str] = field(default_factory=list)
    uploads: int = 0
    operators: list[tuple[Any, ...]] = field(default_factory=list)
    reads: set[int] = field(default_factory=set)
    made: set[int] = field(default_factory=set)


def on_gpu(value: object) -> bool:
    return isinstance(value, FakeTensor) and value.fake_device.type == "cuda"


def storage(tensor: Tensor) -> int:
    """Which memory a tensor lies in."""
    return tensor.untyped_storage()._cdata


class FakeCuda(Cuda):
    """The device `cuda` where there is none."""

    def __init__(self) -> None:
        super().__init__("cuda")
        self.trace = Trace()
        self.fake = FakeTensorMode(allow_non_fake_inputs=True)
        self._pinned: dict[int, Tensor] = {}
        self._pretends = False
        self.free = 0

    @contextmanager
    def pretending(self) -> Iterator[None]:
        """Tensors made for `cuda` are fake ones."""
        if self._pretends:
            yield
            return
        self._pretends = True
        try:
            with _multi_tensor_forms(), self.fake, _Pretend(self):
                yield
        finally:
            self._pretends = False

    @contextmanager
    def traced(self) -> Iterator[Trace]:
        """What is asked of it within."""
        self.trace = trace = Trace()
        yield trace
        self.trace = Trace()

    def pin(self, tensor: Tensor) -> Tensor:
        self._pinned[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    def is_pinned(self, tensor: Tensor) -> bool:
        return tensor.untyped_storage().data_ptr() in self._pinned

    def stream(self) -> object:
        return object()

    def within(self, stream: object) -> AbstractContextManager[Any]:
        return self.pretending()

    def event(self) -> Any:
        return Event(self, self.trace)

    def wait(self, event: object, tensors: Iterable[Tensor]) -> None:
        pass

    def record(self, work: Callable[[], Result]) -> tuple[Callable[[], None], Result]:
        """What a CUDA graph cannot hold is an error; a replay is one call."""
        outside = self.trace
        with self.traced() as trace:
            result = work()
        self.trace = outside
        assert (trace.waits, trace.uploads) == ([], 0)

        def replay() -> None:
            self.trace.calls["replay"] += 1
            self.trace.operators.append(("replay", len(trace.operators)))

        return replay, result

    def synchronize(self) -> None:
        self.trace.waits.append("synchronize")

    def room(self) -> int:
        return self.free


@dataclass(frozen=True)
class Event:
    """A mark in the queue. What an earlier trace queued is done, so only a mark of this one is waited for."""

    gpu: FakeCuda
    trace: Trace

    def synchronize(self) -> None:
        if self.gpu.trace is self.trace:
            self.trace.waits.append("event")


class _Pretend(TorchDispatchMode):
    def __init__(self, gpu: FakeCuda) -> None:
        super().__init__()
        self.gpu = gpu

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.prim.device.default:
            # Only C++ asks by this operator. Autograd would look for the streams of a GPU that is not there.
            return torch.device("meta")
        kwargs = dict(kwargs or {})
        place = None if kwargs.get("device") is None else torch.device(kwargs["device"]).type
        if place == "meta":  # what autograd makes by itself
            place = kwargs["device"] = "cuda"
        given = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
        there = [tensor for tensor in given if on_gpu(tensor)]
        if place != "cuda" and not there:
            return self._on_host(func, args, kwargs)
        if func in (TO, COPY):
            return self._copy(func, args, kwargs, place)
        if func in READS:
            self.gpu.trace.waits.append(func.overloadpacket.__name__)
            return True if there[0].dtype == torch.bool or func is aten.equal.default else 0
        for tensor in given:
            if tensor.dim() and not on_gpu(tensor):
                self._upload(tensor, queued=False)
        self._note(func, there)
        if func.overloadpacket.__name__.startswith("_fused_"):  # in place; torch has no fake form of all
            return None
        if len(there) < len(given):
            args, kwargs = tree_map_only(Tensor, self._faked, (args, kwargs))
        made = func(*args, **kwargs)
        self._note_made(made, there)
        return made

    def _on_host(self, func: Any, args: Any, kwargs: Any) -> Any:
        with unset_fake_temporarily():
            if func is aten.is_pinned.default:
                return self.gpu.is_pinned(args[0])
            if func is aten._pin_memory.default:
                return self.gpu.pin(args[0].clone())
            return func(*args, **kwargs)

    def _copy(self, func: Any, args: Any, kwargs: Any, place: str | None) -> Any:
        source = args[1] if func is COPY else args[0]
        target = on_gpu(args[0]) if func is COPY else place in (None, "cuda")
        queued = kwargs.get("non_blocking", False) or (func is COPY and len(args) > 2 and args[2])
        if target and not on_gpu(source):
            self._upload(source, queued)
        elif not target:
            return self._download(func, args, kwargs, queued)
        elif func is COPY or kwargs.get("dtype", source.dtype) != source.dtype or kwargs.get("memory_format"):
            self._note(func, [tensor for tensor in args[:2] if on_gpu(tensor)])
        if func is COPY:
            return args[0]
        made = func(self._faked(source), **kwargs)
        self._note_made(made, [])
        return made

    def _upload(self, source: Tensor, queued: bool) -> None:
        self.gpu.trace.uploads += 1
        if not queued:
            self.gpu.trace.waits.append("copy to the GPU")
        elif not self.gpu.is_pinned(source):
            self.gpu.trace.waits.append("copy from memory that is not pinned")

    def _download(self, func: Any, args: Any, kwargs: Any, queued: bool) -> Tensor:
        if not queued:
            self.gpu.trace.waits.append("copy to the host")
        if func is COPY:
            return args[0]
        with unset_fake_temporarily():
            return torch.zeros(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)

    def _faked(self, tensor: Tensor) -> Tensor:
        return tensor if isinstance(tensor, FakeTensor) else self.gpu.fake.from_tensor(tensor)

    def _note(self, func: Any, there: list[Tensor]) -> None:
        trace, name = self.gpu.trace, func.overloadpacket.__name__
        trace.reads.update({storage(tensor) for tensor in there} - trace.made)
        if not func.is_view and not name.startswith(FREE):
            trace.calls[name] += 1
            trace.operators.append((name, *((tuple(tensor.shape), tensor.dtype) for tensor in there)))

    def _note_made(self, made: Any, there: list[Tensor]) -> None:
        outputs = made if isinstance(made, list | tuple) else [made]
        new = {storage(tensor) for tensor in outputs if on_gpu(tensor)}
        self.gpu.trace.made.update(new - {storage(tensor) for tensor in there})


@contextmanager
def _multi_tensor_forms() -> Iterator[None]:
    """Torch takes its forms for many tensors at once, as on a GPU, though fake tensors have their own type."""
    group = torch._C._group_tensors_by_device_and_dtype

    def grouped(*given: Any) -> Any:
        return {(torch.device("cuda", 0), kind): found for (_, kind), found in group(*given).items()}

    types = [torch.Tensor, torch.nn.Parameter, FakeTensor]
    with (
        mock.patch.object(_foreach_utils, "_foreach_supported_types", types),
        mock.patch.object(optimizer, "_foreach_supported_types", types),
        mock.patch.object(torch._C, "_group_tensors_by_device_and_dtype", grouped),
    ):
        yield
