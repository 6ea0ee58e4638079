"""Sharpness-aware minimisation around any other optimizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from fer_core.types import StateDict

_EPSILON = 1e-12  # of the authors' code: keeps the climb finite where the gradient vanishes


class SAM(Optimizer):
    """Steps with the gradient found at the worst point near the weights instead of the one at the weights.

    Foret et al., Sharpness-Aware Minimization for Efficiently Improving Generalization, ICLR 2021
    (arXiv:2010.01412), algorithm 1: with g the gradient at w, move to w + rho * g / (|g| + 1e-12), take the
    gradient there, go back to w, and let the base optimizer step with it. |g| is one L2 norm over all
    parameters that have a gradient; the others stay where they are.

    `param_groups` and `state` *are* the base's, also after loading, so a scheduler that drives this object
    drives the base, and `state_dict` is the base's: a run can be resumed with its moments.

    Args:
        base: Optimizer that makes the step.
        rho: Radius of the neighbourhood, above 0.
        adaptive: Measure the neighbourhood relative to each weight: with t = |w|, move by
            rho * t^2 * g / (|t * g| + 1e-12) (ASAM, Kwon et al. 2021, arXiv:2102.11600, without its eta).

    Raises:
        ValueError: `rho` is not above 0.
    """

    def __init__(self, base: Optimizer, *, rho: float = 0.05, adaptive: bool = False) -> None:
        if not rho > 0:
            raise ValueError(f"rho is {rho}, but a neighbourhood has a radius above 0")
        super().__init__(base.param_groups, base.defaults)
        self.base = base
        self.rho = rho
        self.adaptive = adaptive
        self._share()

    def _share(self) -> None:
        """Make the base's groups and state our own, as the very same objects."""
        self.param_groups = self.base.param_groups
        self.state = self.base.state

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Call `closure` twice, at w and at the climbed point, and update w.

        A closure that meets an fp16 overflow reports it by the key `skipped` of the mapping that it returns.
        Then nothing is updated, whichever pass it was: w is as before, the base optimizer has not stepped.

        Args:
            closure: Clears the gradients, computes the loss and its gradients. Needed.

        Returns:
            What the first call returned, which belongs to w; what the second returned if that was skipped,
            so that one look at the result tells whether there was an update.

        Raises:
            ValueError: No closure was given.
        """
        if closure is None:
            raise ValueError("SAM computes the gradients twice: give step() a closure that does it")
        evaluate = torch.enable_grad()(closure)
        first = evaluate()
        if _skipped(first):
            return first
        moved = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        # Subtracting the climb again would lose the last bits of w: keep a copy of it.
        origin = [torch.empty_like(p) for p in moved]
        if moved:
            torch._foreach_copy_(origin, moved)
        try:
            self._climb(moved)
            second = evaluate()
        finally:
            if moved:
                torch._foreach_copy_(moved, origin)
        if _skipped(second):
            return second
        self.base.step()
        return first

    def _climb(self, parameters: list[Tensor]) -> None:
        """Add rho * g / |g| to `parameters`, using up their gradients, which the second pass replaces."""
        if not parameters:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        if self.adaptive:
            scales = torch._foreach_abs(parameters)
            torch._foreach_mul_(gradients, scales)
        norm = torch.nn.utils.get_total_norm(gradients)
        if self.adaptive:
            torch._foreach_mul_(gradients, scales)
        torch._foreach_mul_(gradients, self.rho / (norm + _EPSILON))
        torch._foreach_add_(parameters, gradients)

    def state_dict(self) -> StateDict:
        """The base optimizer's state."""
        return self.base.state_dict()

    def load_state_dict(self, state_dict: StateDict) -> None:
        """Load the base optimizer's state."""
        self.base.load_state_dict(state_dict)
        self._share()

    def __getstate__(self) -> StateDict:
        """Everything a copy needs; torch's own would leave the base out."""
        return {**super().__getstate__(), "base": self.base, "rho": self.rho, "adaptive": self.adaptive}


def _skipped(result: Any) -> bool:
    return isinstance(result, Mapping) and bool(result.get("skipped", False))
