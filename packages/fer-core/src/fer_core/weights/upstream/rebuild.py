"""The few functions that a pickle of weights may name; each makes a description, none runs the file's code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from fer_core.weights.upstream.values import Array, DType, Global, Inert, Storage, TensorClaim

STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "UntypedStorage": torch.uint8,
}
DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in (torch.uint16, torch.uint32, torch.uint64)}
DTYPES |= {str(dtype).removeprefix("torch."): dtype for dtype in STORAGES.values()}

# fmt: off
COMMANDS = frozenset((
    "os", "posix", "nt", "subprocess", "sys", "pty", "runpy", "importlib", "shutil", "socket", "ctypes", "marshal",
    "pickle", "_pickle", "cloudpickle", "code", "webbrowser", "urllib", "requests", "timeit", "pdb", "bdb",
    "pydoc", "asyncio", "multiprocessing", "threading", "signal", "platform",
))
# fmt: on
"""Modules of which weights never need a function. All unknown functions are inert; naming these is an attack."""
BUILTIN_COMMANDS = frozenset(("eval", "exec", "execfile", "compile", "open", "__import__", "input", "breakpoint"))
BUILTINS = ("builtins", "__builtin__")


def call(function: Any, arguments: Any) -> Any:
    """What the pickle gets for calling `function`: a description where it is allowed, else an inert object.

    Raises:
        ValueError: The call is one that weights never need, or its arguments are wrong.
    """
    if isinstance(function, Inert):
        return Inert(function.kind)
    if not isinstance(function, Global) or not isinstance(arguments, tuple):
        raise ValueError("it calls something that is not a function")
    build = _BUILDERS.get((function.module, function.name))
    if build is not None:
        return build(*arguments)
    command = function.module in BUILTINS and function.name in BUILTIN_COMMANDS
    if command or function.module.partition(".")[0] in COMMANDS:
        raise ValueError(
            f"it would call {function} when opened as usual, which is an attack: do not trust the file"
        )
    return Inert(function)


def storage_dtype(kind: Any) -> torch.dtype:
    """The type of numbers in a torch storage class."""
    if not isinstance(kind, Global) or kind.module not in ("torch", "torch.cuda", "torch.storage"):
        raise ValueError("it refers to an object outside the file")
    if kind.name not in STORAGES:
        raise ValueError(f"it holds a {kind.name}, whose numbers are not supported")
    return STORAGES[kind.name]


def put(mapping: dict[Any, Any], key: Any, value: Any) -> None:
    """Set an entry; keys that are not plain values are left out, since comparing them could run deep."""
    if key is None or isinstance(key, str | int | float | bytes):
        mapping[key] = value


def _tensor(storage: Any, offset: int, size: Any, stride: Any, *_: Any) -> TensorClaim:
    if not isinstance(storage, Storage):
        raise ValueError("a tensor without a storage")
    return TensorClaim(storage, storage.dtype, offset, tuple(size), tuple(stride))


def _tensor_with_dtype(
    storage: Any, offset: int, size: Any, stride: Any, _grad: Any, _hooks: Any, kind: Any, *_: Any
) -> TensorClaim:
    if not isinstance(storage, Storage) or not isinstance(kind, Global) or kind.name not in DTYPES:
        raise ValueError("a tensor of a type that is not supported")
    return TensorClaim(storage, DTYPES[kind.name], offset, tuple(size), tuple(stride))


def _no_archive(*_: Any) -> Any:
    raise ValueError("its tensors were pickled one by one: read it with torch and write it with torch.save")


def _first(value: Any, *_: Any) -> Any:
    return value


def _typed(function: Any, _type: Any, arguments: Any, *_: Any) -> Any:
    return call(function, arguments)


def _mapping(pairs: Any = (), *_: Any) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key, value in pairs.items() if isinstance(pairs, dict) else pairs:
        put(found, key, value)
    return found


def _default_mapping(*_: Any) -> dict[Any, Any]:
    return {}


def _list(items: Any = ()) -> list[Any]:
    return list(items)


def _tuple(items: Any = ()) -> tuple[Any, ...]:
    return tuple(items)


def _device(*parts: Any) -> str:
    return ":".join(map(str, (part for part in parts if isinstance(part, str | int))))


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise ValueError("bytes in an encoding other than latin1")
    return text.encode("latin-1")


def _reconstruct(kind: Any, *_: Any) -> Inert:
    if not isinstance(kind, Global):
        raise ValueError("it builds an object of something that is not a class")
    return Inert(kind)


def _array(*_: Any) -> Array:
    return Array()


def _array_from_buffer(data: Any, dtype: Any, shape: Any, order: str = "C", *_: Any) -> Array:
    array = Array()
    array.fill((shape, dtype, order == "F", data))
    return array


def _dtype(code: Any, *_: Any) -> DType:
    if not isinstance(code, str):
        raise ValueError("an array of a type that is not supported")
    return DType(code.lstrip("<>=|"), code[0] if code[:1] in ("<", ">") else "=")


def _scalar(dtype: Any, data: Any = b"") -> Any:
    content = data.encode("latin-1") if isinstance(data, str) else data
    if not isinstance(dtype, DType) or not isinstance(content, bytes):
        raise ValueError("a number of a type that is not supported")
    kind = dtype.resolve()
    if len(content) != kind.itemsize:
        raise ValueError("a number is not as long as its type")
    return np.frombuffer(content, dtype=kind)[0].item()


_NUMPY = {
    (f"{base}.{module}", name): build
    for base in ("numpy.core", "numpy._core")
    for module, name, build in (
        ("multiarray", "_reconstruct", _array),
        ("multiarray", "scalar", _scalar),
        ("numeric", "_frombuffer", _array_from_buffer),
    )
}
_PYTHON = {
    (module, name): build
    for module in BUILTINS
    for name, build in (
        ("dict", _mapping),
        ("list", _list),
        ("set", _list),
        ("frozenset", _list),
        ("tuple", _tuple),
    )
}
_BUILDERS: dict[tuple[str, str], Callable[..., Any]] = {
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _tensor_with_dtype,
    ("torch._utils", "_rebuild_parameter"): _first,
    ("torch._utils", "_rebuild_parameter_with_state"): _first,
    ("torch._tensor", "_rebuild_from_type_v2"): _typed,
    ("torch.storage", "_load_from_bytes"): _no_archive,
    ("torch", "Size"): _tuple,
    ("torch", "device"): _device,
    ("collections", "OrderedDict"): _mapping,
    ("collections", "defaultdict"): _default_mapping,
    ("_codecs", "encode"): _encode,
    ("copyreg", "_reconstructor"): _reconstruct,
    ("copy_reg", "_reconstructor"): _reconstruct,
    ("numpy", "dtype"): _dtype,
    **_NUMPY,
    **_PYTHON,
}
