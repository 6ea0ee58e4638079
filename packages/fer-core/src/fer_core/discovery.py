"""Entry points of installed distributions, each read by itself: the damaged metadata of one harm no other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.metadata import Distribution, EntryPoint, distributions
from pathlib import Path
from typing import Any

from fer_core.boundary import describe
from fer_core.hookspecs import PROJECT

UNKNOWN = "(unknown version)"
UNREADABLE = "?"
"""Stands for the names of entry points that cannot be read."""


@dataclass(frozen=True)
class Found:
    """An entry point of a plugin.

    Attributes:
        name: Of the entry point; `UNREADABLE` where it cannot be read.
        distribution: Which installed it.
        version: Of the distribution.
        point: To load it; None where it cannot be loaded.
        error: Why not.
    """

    name: str
    distribution: str
    version: str
    point: EntryPoint | None = None
    error: str = ""


def find_plugins() -> list[Found]:
    """Every entry point of the group `fer_core`, in the order of distributions and names."""
    found: list[Found] = []
    seen, damaged = set[object](), set[str]()
    for each in distributions():
        folder = _folder(each)
        key = folder.partition("-")[0].casefold() or id(each)
        if key not in seen:  # the first on the path is the one that is imported
            seen.add(key)
            points = list(_points_of(each, folder))
            found += points
            damaged |= {folder for point in points if point.name == UNREADABLE}
    if damaged and metadata.distributions is distributions:
        _hide(damaged)
    return sorted(found, key=lambda point: (point.distribution, point.name))


def _hide(damaged: set[str]) -> None:
    """Let pydantic, torch and triton, which read the entry points of every distribution, not fail at these."""

    def whole(**given: Any) -> Iterator[Distribution]:
        return (each for each in distributions(**given) if _folder(each) not in damaged)

    setattr(metadata, "distributions", whole)  # noqa: B010  # there is no other way, and mypy sees a constant


def _points_of(each: Distribution, folder: str) -> Iterator[Found]:
    name, version = folder.partition("-")[0] or "?", UNKNOWN
    try:
        if PROJECT not in (each.read_text("entry_points.txt") or ""):
            return
        known = each.metadata
        name, version = known["Name"] or name, known["Version"] or version
        points = [point for point in each.entry_points if point.group == PROJECT]
    except Exception as error:  # parsers of metadata raise many kinds
        yield Found(
            UNREADABLE, name, version, error=f"its metadata cannot be read ({describe(error)}): reinstall {name}"
        )
        return
    for point in points:
        if not known["Name"] or not known["Version"]:
            yield Found(point.name, name, version, error=f"its metadata have no name or version: reinstall {name}")
        elif not point.name or not point.pattern.match(point.value):
            reason = f"its entry point is {point.name} = {point.value}, expected NAME = package.module"
            yield Found(point.name or "?", name, version, error=reason)
        else:
            yield Found(point.name, name, version, point)


def _folder(each: Distribution) -> str:
    """Name of the folder with a distribution's metadata, as in `fer_core-0.1.0.dist-info`; may be empty."""
    return Path(str(getattr(each, "_path", ""))).name  # names no other way where the metadata are damaged
