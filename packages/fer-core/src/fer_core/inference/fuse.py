"""The inference form of a model: the same logits, without the parts that only training needs."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import nn

from fer_core import registry
from fer_core.boundary import shown
from fer_core.errors import FerError
from fer_core.inference.predict import logits_of
from fer_core.makers import named_in_notes, remember
from fer_core.refs import resolve
from fer_core.returned import check_form

if TYPE_CHECKING:
    from fer_core.engine import Engine


def fuse(model: nn.Module, name: str) -> nn.Module:
    """As `fer_core.inference_form`."""
    if not isinstance(model, nn.Module):
        raise FerError(f"inference_form: the model is a {type(model).__name__}: give what create_model returns")
    spec = registry.find("models", name)
    if spec.inference is None:
        return model.eval()
    maker = registry.maker("models", name)
    with named_in_notes():
        form = resolve(spec.inference)(model)
    if not isinstance(form, nn.Module):
        raise FerError(f"{maker}: its inference form is {shown(form)}, expected a torch.nn.Module: {maker.advice}")
    remember(form, maker)
    return form.eval()


@torch.inference_mode()
def fuse_checked(model: nn.Module, name: str, size: int, device: torch.device) -> nn.Module:
    """As `fuse`, of a model on a device. Raises FerError unless the form gives the same logits for an image."""
    image = torch.linspace(-1, 1, 3 * size * size, device=device).view(1, 3, size, size)
    before = logits_of(model.eval(), image)
    form = fuse(model, name)
    output = form(image)
    check_form(form, before, output.get("logits") if isinstance(output, dict) else output)
    return form


class LiveForm:
    """The inference form of a model in training, whose weights change.

    It is made from a copy of the model, which takes the weights without copying them: what training does to the
    modules (activation checkpointing, BatchNorm over several processes) does not reach the form.

    Args:
        model: As it was built, before it is prepared.
        name: Registered name of its family.
        size: Its input size.
        engine: Where it runs. A compiled model is used as it is, since every form would be compiled anew.
        heads: Whether further heads are measured, which a form lacks: then the model is used as it is.
    """

    def __init__(self, model: nn.Module, name: str, size: int, engine: Engine, *, heads: bool) -> None:
        self.name, self.size, self.engine = name, size, engine
        self.twin: nn.Module | None = None
        self.checked = False
        if not heads and has_form(name, engine):
            self.twin = copy.deepcopy(model)
            engine.prepare(self.twin)

    def of(self, model: nn.Module) -> nn.Module:
        """The form of the present weights of `model`, which has the architecture of the one given at the start.

        Raises:
            FerError: As `fuse_checked`, the first time.
        """
        if self.twin is None:
            return model
        self.twin.load_state_dict(model.state_dict(), assign=True)
        if self.checked:
            with torch.inference_mode():
                form = fuse(self.twin.eval(), self.name)
        else:
            form = fuse_checked(self.twin, self.name, self.size, self.engine.device.torch_device)
            self.checked = True
        self.engine.prepare(form)
        return form


def has_form(name: str, engine: Engine) -> bool:
    """Whether models of a family are evaluated in a form of their own; not where the engine compiles them."""
    return not engine.compile and registry.find("models", name).inference is not None
