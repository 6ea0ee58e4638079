"""Colours of all charts, and the same colours as CSS variables for light and dark pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8C6D00", "#56B4E9", "#B22222", "#6A51A3", "#666666")
"""Distinguishable in all common kinds of colour blindness as far as there are colours (Okabe and Ito 2008)."""
DARK_SERIES = ("#4FB3EA", "#F58A4B", "#35C79B", "#E39CC6", "#D9B84A", "#9AD4F7", "#F07C7C", "#B39DDB", "#BDBDBD")
MARKERS = ("o", "s", "^", "D", "v", "P", "<", "*", "p")
"""One for each colour of a series, so that no chart is read by colour alone."""
INK, MUTED, GRID, SURFACE, HEAT = "#1c2733", "#5a6673", "#dde3e9", "#ffffff", "#0a5ea8"
LIGHT = {"ink": INK, "muted": MUTED, "grid": GRID, "surface": SURFACE, "heat": HEAT}
DARK = {"ink": "#e8edf2", "muted": "#a3b0bd", "grid": "#36424f", "surface": "#171e26", "heat": "#5fb0f0"}


def series(number: int) -> str:
    """The colour of a series; colours repeat after the ninth."""
    return SERIES[number % len(SERIES)]


def theme(root: str) -> str:
    """CSS with the colours as variables of the element `root`, light, and dark where the reader prefers it."""
    light, dark = _declare(LIGHT, SERIES), _declare(DARK, DARK_SERIES)
    return f"{root}{{{light}}}@media screen and (prefers-color-scheme:dark){{{root}{{{dark}}}}}"


@cache
def variables() -> Mapping[str, str]:
    """Light colour, as matplotlib writes it, -> CSS variable."""
    named = LIGHT | {f"series{number}": colour for number, colour in enumerate(SERIES)}
    return {colour.lower(): f"var(--{name})" for name, colour in named.items()}


def _declare(colours: dict[str, str], of_series: Sequence[str]) -> str:
    named = colours | {f"series{number}": colour for number, colour in enumerate(of_series)}
    return ";".join(f"--{name}:{colour}" for name, colour in named.items())
