"""Weight files from other sources, read without executing code in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fer_core.errors import FerError
from fer_core.weights.upstream.torch_file import read_pickle, read_zip
from fer_core.weights.upstream.values import Array, Inert, TensorClaim

MAX_DEPTH = 64
MAX_MODULES = 100_000
SHOWN = 200


def read_upstream(path: str | Path) -> dict[str, Any]:
    """Tensors and plain values of a checkpoint, nested as they are in the file.

    Understood are safetensors, both of torch's formats (`.pth`, `.pt`, `.pth.tar`...) and pickles of numpy arrays
    (Python 2's as well), whose arrays become tensors. A pickled module becomes its state dict. Objects of other
    classes are left out: nothing that the file names is imported, called or built.

    Raises:
        FerError: No such file, damaged, not a checkpoint, or malicious. One line.
    """
    path = Path(path)
    if not path.is_file():
        raise FerError(f"{path} is not a file: name a file of weights, such as a .pth or .safetensors")
    try:
        found = _read(path)
    except FerError:
        raise
    except Exception as error:  # a damaged file may fail anywhere in reading
        raise _refusal(path, str(error) or type(error).__name__) from error
    if not isinstance(found, dict):
        raise _refusal(path, "it holds no mapping of names to tensors")
    if not _has_tensor(found):
        raise _refusal(path, "it holds no tensor")
    return found


def _read(path: Path) -> Any:
    with path.open("rb") as file:
        start = file.read(512)
    if not start:
        raise ValueError("it is empty")
    if start.startswith(b"PK\x03\x04"):
        content = read_zip(path)
    elif start[8:9] == b"{" or path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    elif start[257:262] == b"ustar":
        raise ValueError("it is a tar archive: unpack it and give the file inside")
    elif start.lstrip()[:1] == b"<":
        raise ValueError("it is a web page, not the file that the page offers: download it again")
    else:
        content = read_pickle(path)
    return _Plain().convert(content)


def _refusal(path: Path, reason: str) -> FerError:
    line = "".join(letter if letter.isprintable() else " " for letter in reason.strip().partition("\n")[0])
    return FerError(
        f"{path} cannot be used as weights ({line[:SHOWN]}): give a whole .safetensors, .pth, .pt, .pth.tar or "
        ".pkl of weights; no code in it was executed"
    )


def _has_tensor(tree: Any) -> bool:
    from torch import Tensor

    seen: set[int] = set()
    waiting = [tree]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Tensor):
            return True
        if isinstance(value, dict | list) and id(value) not in seen:
            seen.add(id(value))
            waiting += value.values() if isinstance(value, dict) else value
    return False


class _Left:
    """Marks what is left out."""


_LEFT = _Left()


class _Plain:
    """Turns what the stack machine made into tensors, mappings with text as keys, lists and plain values."""

    def __init__(self) -> None:
        self.done: dict[int, Any] = {}
        self.modules = 0

    def convert(self, value: Any, depth: int = 0) -> Any:
        if value is None or isinstance(value, str | int | float):
            return value
        if isinstance(value, TensorClaim | Array):
            return self._once(value, value.tensor)
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")
        if isinstance(value, dict):
            return self._once(value, lambda: self._mapping(value, depth))
        if isinstance(value, list | tuple):
            return self._once(value, lambda: self._list(value, depth))
        if isinstance(value, Inert):
            return self._once(value, lambda: self._object(value, depth))
        return _LEFT

    def _once(self, value: Any, make: Any) -> Any:
        """Shared objects are converted once; an object that contains itself is left out at that place."""
        if id(value) not in self.done:
            self.done[id(value)] = _LEFT
            self.done[id(value)] = make()
        return self.done[id(value)]

    def _mapping(self, value: dict[Any, Any], depth: int) -> dict[str, Any]:
        found = {_name(key): self.convert(item, depth + 1) for key, item in value.items()}
        return {key: item for key, item in found.items() if item is not _LEFT}

    def _list(self, value: Any, depth: int) -> list[Any]:
        found = [self.convert(item, depth + 1) for item in value]
        return [None if item is _LEFT else item for item in found]

    def _object(self, value: Inert, depth: int) -> Any:
        if _is_module(value):
            state: dict[str, Any] = {}
            self._module(value, "", state, depth)
            return state
        return self._mapping(value.entries, depth) if value.entries else _LEFT

    def _module(self, module: Inert, prefix: str, into: dict[str, Any], depth: int) -> None:
        """Parameters, buffers, then children, each in the order of registration, as `state_dict()` does it."""
        self.modules += 1
        if depth > MAX_DEPTH or self.modules > MAX_MODULES:
            raise ValueError("its modules are nested infinitely")
        hidden = module.state.get("_non_persistent_buffers_set", [])
        for name, value in (_entries(module, "_parameters") | _entries(module, "_buffers")).items():
            if isinstance(value, TensorClaim) and name not in hidden:
                into[prefix + name] = self.convert(value)
        for name, child in _entries(module, "_modules").items():
            if isinstance(child, Inert) and _is_module(child):
                self._module(child, f"{prefix}{name}.", into, depth + 1)


def _is_module(value: Inert) -> bool:
    return all(isinstance(value.state.get(key), dict) for key in ("_parameters", "_modules"))


def _entries(module: Inert, key: str) -> dict[str, Any]:
    entries = module.state.get(key)
    return {_name(name): value for name, value in entries.items()} if isinstance(entries, dict) else {}


def _name(key: Any) -> str:
    return key.decode("latin-1") if isinstance(key, bytes) else str(key)
