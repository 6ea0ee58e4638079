"""Metrics by name, those of plugins among them."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_core import registry
from fer_core.errors import FerError
from fer_core.makers import in_one_line, remember
from fer_core.metrics.record import LARGEST
from fer_core.returned import in_words, wrong

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fer_core.provenance import Component
    from fer_core.types import Measured

logger = logging.getLogger(__name__)


def apply_metrics(
    names: Iterable[str], measures: Measured, what: str, truth: NDArray[Any], predicted: NDArray[Any]
) -> dict[str, float]:
    """Those of some metrics that measure classes, or numbers.

    Args:
        names: Of metrics; those that measure something else are passed over.
        measures: What `truth` holds.
        what: What is measured, for messages.
        truth: As the function of a `MetricSpec` gets it.
        predicted: Likewise.

    Raises:
        FerError: A metric raised something, or returned no finite number; the message names it.
    """
    found = {}
    for name in names:
        spec, maker = registry.find("metrics", name), registry.maker("metrics", name)
        if spec.measures != measures:
            continue
        function = registry.factory("metrics", name)
        with in_one_line(maker, on=what):
            value = function(truth.copy(), predicted.copy())
        number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or abs(float(value)) > LARGEST:
            remember(function, maker)
            raise wrong(function, "the function", f"{in_words(value)} for {what}", "a finite number")
        found[spec.name] = float(value)
    return found


def recorded_metrics(components: Sequence[Component]) -> list[str]:
    """Names of the metrics that a training was measured by, as they are known here; one is logged that is not."""
    names = []
    for of in components:
        if of.kind == "metrics":
            try:
                names.append(
                    registry.entry("metrics", registry.recorded("metrics", of.name, components)).qualified
                )
            except FerError as error:
                logger.warning(f"{error}; without it the figure {of.name} is left out")
    return names
