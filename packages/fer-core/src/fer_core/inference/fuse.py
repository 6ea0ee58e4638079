"""The inference form of a model: the same logits, without the parts that only training needs."""

from __future__ import annotations

from torch import nn

from fer_core import registry
from fer_core.boundary import shown
from fer_core.errors import FerError
from fer_core.makers import named_in_notes, remember
from fer_core.refs import resolve


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
