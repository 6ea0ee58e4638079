"""Versions of the numerical packages, on which the last bits of a result depend."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fer_core.provenance import Component

DECISIVE = ("fer-core", "torch", "torchvision", "numpy", "pillow")


def installed_versions(names: Iterable[str]) -> dict[str, str]:
    """Version of each distribution that is installed; models may need some that the core does not."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def decisive_versions(components: Iterable[Component]) -> dict[str, str]:
    """Version of every distribution that equal bytes depend on, those of the run's components among them."""
    found = installed_versions(DECISIVE) | {of.distribution: of.version for of in components}
    return dict(sorted(found.items()))
