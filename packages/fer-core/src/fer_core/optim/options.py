"""One check for the numbers among the options of optimizers and schedules."""

from __future__ import annotations

import math
from typing import Any

from fer_core.errors import FerError


def check_number(
    key: str, value: Any, *, above: float | None = None, low: float = 0.0, high: float = math.inf
) -> None:
    """Accept finite numbers above `above` (from `low` on where that is None) up to `high`.

    Raises:
        FerError: `value` is anything else; the message names `key` as the configuration does.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if number and (value >= low if above is None else value > above) and value <= high:
        return
    bounds = f"of {low:g} or more" if above is None else f"above {above:g}"
    if high < math.inf:
        bounds += f", at most {high:g}"
    raise FerError(f"{key} is {value!r}, which cannot be used: give a finite number {bounds}")
