"""Fields of specs that only a newer fer-core has: a plugin written for it is loaded without them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from functools import wraps
from typing import Any, TypeVar

T = TypeVar("T")

_unknown: list[tuple[type, str]] | None = None


@contextmanager
def unknown_fields() -> Iterator[list[tuple[type, str]]]:
    """Within, specs are made without the fields that they do not have, and these are listed as (class, name)."""
    global _unknown
    before, _unknown = _unknown, []
    try:
        yield _unknown
    finally:
        _unknown = before


def grows(cls: type[T]) -> type[T]:
    """A dataclass of keyword-only fields to which later versions may add some."""
    make = cls.__init__

    @wraps(make)
    def made(self: T, *given: Any, **named: Any) -> None:
        known = {field.name for field in fields(cls)}  # type: ignore[arg-type]
        if _unknown is not None:
            _unknown.extend((cls, name) for name in named if name not in known)
            named = {name: value for name, value in named.items() if name in known}
        make(self, *given, **named)

    setattr(cls, "__init__", made)  # noqa: B010  # mypy takes an assignment for a method of another class
    return cls
