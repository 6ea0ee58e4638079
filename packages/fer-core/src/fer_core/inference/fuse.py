"""The form of a model that predicts: the same logits, without what only training needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fer_core import registry
from fer_core.refs import resolve

if TYPE_CHECKING:
    from torch import nn


def inference_form(model: nn.Module, name: str) -> nn.Module:
    """A model in eval mode that returns the `logits` of `model`, as fast as its family knows how.

    Families that have a form of their own (`ModelSpec.inference`) fold batch normalisations and parallel
    convolutions and leave out branches; its logits agree within 1e-4 of the largest in float32. Others are
    returned as they are, in eval mode.

    Args:
        model: A model of the family `name`; it is not changed, other than to eval mode where it has no such form.
        name: Registered name of the family.

    Raises:
        FerError: Unknown model.
    """
    spec = registry.find("models", name)
    if spec.inference is None:
        return model.eval()
    form: nn.Module = resolve(spec.inference)(model)
    return form.eval()
