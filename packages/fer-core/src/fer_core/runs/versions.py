"""Versions of the numerical packages, on which the last bits of a result depend."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fer_core.plugins import installed_versions

if TYPE_CHECKING:
    from fer_core.provenance import Component

DECISIVE = ("fer-core", "torch", "torchvision", "numpy", "pillow")


def decisive_versions(components: Iterable[Component]) -> dict[str, str]:
    """Version of every distribution that equal bytes depend on, those of the run's components among them."""
    found = installed_versions(DECISIVE) | {of.distribution: of.version for of in components}
    return dict(sorted(found.items()))
