"""Exponential moving average of a model's weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from fer_core.errors import FerError
from fer_core.types import StateDict

Held = dict[str, tuple[dict[str, Any], str]]
"""By name in a `state_dict`, the mapping of a module that keeps a tensor, and its key there.

The tensor may be replaced at any time, as a buffer is by `self.centre = 0.9 * self.centre + ...`.
"""


class EMA:
    """Averages the parameters and buffers of a module (Polyak and Juditsky 1992; the warm-up is TensorFlow's).

    After t updates the next one computes average = d * average + (1 - d) * value with
    d = min(decay, (1 + t) / (10 + t)), so that the random weights of the beginning fade quickly. Integers, such as
    the counter of BatchNorm, are copied. Names are those of the module's `state_dict`.

    Args:
        module: Module to follow; its present values are the first average.
    """

    def __init__(self, module: nn.Module) -> None:
        self.updates = 0
        self.average = {name: value.clone() for name, value in _tensors(module).items()}
        self._floating = [name for name, value in self.average.items() if value.is_floating_point()]
        self._others = [name for name, value in self.average.items() if not value.is_floating_point()]
        self._module, self._held = module, _held(module)

    @torch.no_grad()
    def update(self, module: nn.Module, decay: float) -> None:
        """Take in the present values of `module`.

        Args:
            module: The module given at the beginning, or one of the same structure.
            decay: Share of the average that is kept, 0 to below 1.

        Raises:
            FerError: `decay` is out of range.
        """
        if not 0 <= decay < 1:
            raise FerError(f"train.ema is {decay!r}, which is outside [0, 1): give a decay such as 0.999")
        if module is not self._module:
            self._module, self._held = module, _held(module)
        warm = min(decay, (1 + self.updates) / (10 + self.updates))
        if self._floating:
            torch._foreach_lerp_(*self._pairs(self._floating), 1 - warm)
        if self._others:
            torch._foreach_copy_(*self._pairs(self._others))
        self.updates += 1

    def _pairs(self, names: list[str]) -> tuple[list[Tensor], list[Tensor]]:
        """Averages and present values."""
        held = [self._held[name] for name in names]
        return [self.average[name] for name in names], [holder[key] for holder, key in held]

    @contextmanager
    def applied(self, module: nn.Module) -> Iterator[None]:
        """Within the context `module` has the averaged values; afterwards its own, to the last bit."""
        values = _tensors(module)
        own = {name: value.clone() for name, value in values.items()}
        try:
            _copy(self.average, values)
            yield
        finally:
            _copy(own, values)

    def state_dict(self) -> StateDict:
        """Tensors and plain values: `updates` and `average`."""
        return {"updates": self.updates, "average": dict(self.average)}

    def load_state_dict(self, state: StateDict) -> None:
        """Restore a saved state.

        Raises:
            FerError: The state belongs to another model.
        """
        saved = state["average"]
        wrong = sorted(saved.keys() ^ self.average.keys())
        wrong += sorted(n for n, v in self.average.items() if n in saved and saved[n].shape != v.shape)
        if wrong:
            raise FerError(
                f"The saved average belongs to another model, because {len(wrong)} tensors differ ({wrong[0]}): "
                "resume with the model that was saved"
            )
        _copy(saved, self.average)
        self.updates = int(state["updates"])


def _held(module: nn.Module) -> Held:
    """Where the module keeps what its `state_dict` names, in that order: asking for that takes milliseconds."""
    found: Held = {}
    for prefix, part in module.named_modules(remove_duplicate=False):
        for holder in (part._parameters, part._buffers):
            for key, value in holder.items():
                if value is not None and key not in part._non_persistent_buffers_set:
                    found[f"{prefix}.{key}" if prefix else key] = (holder, key)
    return found


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    """The values themselves, not copies."""
    return {name: holder[key].detach() for name, (holder, key) in _held(module).items()}


@torch.no_grad()
def _copy(source: dict[str, Tensor], target: dict[str, Tensor]) -> None:
    for name, value in target.items():
        value.copy_(source[name])
