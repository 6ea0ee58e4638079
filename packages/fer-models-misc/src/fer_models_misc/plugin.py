"""The plugin's hooks: the model of each family and its loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from fer_core.plugin import ModelSpec, Ref, hookimpl

from fer_models_misc.adadf import spec as adadf
from fer_models_misc.gsdnet import spec as gsdnet
from fer_models_misc.lnsu import spec as lnsu
from fer_models_misc.mfer import spec as mfer
from fer_models_misc.timm_backbone import spec as timm_backbone

FAMILIES = (adadf, gsdnet, lnsu, mfer, timm_backbone)


@hookimpl
def fer_models() -> Iterable[ModelSpec]:
    """The model of each family."""
    return [family.SPEC for family in FAMILIES]


@hookimpl
def fer_losses() -> Mapping[str, Ref]:
    """The losses of all families."""
    return {name: ref for family in FAMILIES for name, ref in family.LOSSES.items()}


@hookimpl
def fer_fetch(uri: str, cache: Path) -> Path | None:
    """Weights published by timm, as `timm://NAME`."""
    if not uri.startswith("timm://"):
        return None
    from fer_models_misc.timm_backbone.fetch import fetch

    return fetch(uri, cache)
