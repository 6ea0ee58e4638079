"""State dicts from other sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fer_core.errors import FerError

if TYPE_CHECKING:
    from torch import Tensor

CONTAINERS = ("model_state_dict", "state_dict", "model")
"""Keys under which training scripts put the weights."""


def unwrap(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a checkpoint, taken out of the usual containers, without the prefixes of torch's wrappers.

    These are `module.` (data-parallel) and `_orig_mod.` (compiled).

    Args:
        state: A state dict, or a training checkpoint that holds one under `model_state_dict`, `state_dict` or
            `model`. Entries that are not tensors are left out.
    """
    from torch import Tensor

    for key in CONTAINERS:
        inner = state.get(key)
        if isinstance(inner, Mapping):
            return unwrap(inner)
    return {
        name.removeprefix("module.").removeprefix("_orig_mod."): value
        for name, value in state.items()
        if isinstance(value, Tensor)
    }


def check_state(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], what: str) -> None:
    """Compare names and shapes of `state` with those of `expected`.

    Raises:
        FerError: Begins with `what`, names the first tensors that are missing, unexpected or of another shape, and
            says how many are.
    """
    missing = [name for name in expected if name not in state]
    unexpected = [name for name in state if name not in expected]
    reshaped = [
        f"{name} {list(state[name].shape)} instead of {list(tensor.shape)}"
        for name, tensor in expected.items()
        if name in state and state[name].shape != tensor.shape
    ]
    found = (("missing", missing), ("not part of it", unexpected), ("of another shape", reshaped))
    faults = [f"{len(names)} {fault} ({_some(names)})" for fault, names in found if names]
    if faults:
        raise FerError(f"{what}: of {len(expected)} tensors {'; '.join(faults)}; give a file of the same network")


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
