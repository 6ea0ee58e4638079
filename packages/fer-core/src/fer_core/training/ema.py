"""Exponential moving average of a model's weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from fer_core.errors import FerError
from fer_core.types import StateDict


class EMA:
    """Averages the parameters and buffers of a module (Polyak and Juditsky 1992; the warm-up is TensorFlow's).

    After t updates the next one computes average = d * average + (1 - d) * value with
    d = min(decay, (1 + t) / (10 + t)), so that the random weights of the beginning fade quickly. Integers, such as
    the counter of BatchNorm, are copied. Kept is what the module's `state_dict` holds, under the same names.

    Args:
        module: Module to follow; its present values are the first average.
    """

    def __init__(self, module: nn.Module) -> None:
        self.updates = 0
        self.average = {name: value.clone() for name, value in _tensors(module).items()}

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
        values = _tensors(module)
        floating = [name for name, value in values.items() if value.is_floating_point()]
        warm = min(decay, (1 + self.updates) / (10 + self.updates))
        if floating:
            averages = [self.average[name] for name in floating]
            torch._foreach_lerp_(averages, [values[name] for name in floating], 1 - warm)
        for name in values.keys() - set(floating):
            self.average[name].copy_(values[name])
        self.updates += 1

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


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    """The values themselves, not copies."""
    return {name: value for name, value in module.state_dict().items() if isinstance(value, Tensor)}


@torch.no_grad()
def _copy(source: dict[str, Tensor], target: dict[str, Tensor]) -> None:
    for name, value in target.items():
        value.copy_(source[name])
