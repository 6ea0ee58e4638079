"""What hooks return, checked against the types of the specs; neither pydantic nor torch is needed for it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any, get_args

from fer_core.boundary import shown
from fer_core.published import Claim, ClassOrder, Weights, WeightsSpec
from fer_core.types import (
    ROLES,
    CommandSpec,
    DatasetSpec,
    ExperimentSpec,
    Measured,
    MetricSpec,
    ModelSpec,
    SplitSpec,
)

SPECS: Mapping[str, type] = {
    "models": ModelSpec,
    "weights": WeightsSpec,
    "datasets": DatasetSpec,
    "splits": SplitSpec,
    "metrics": MetricSpec,
    "experiments": ExperimentSpec,
    "commands": CommandSpec,
}
"""Kinds whose hook returns specs; the hooks of all others return name -> `Ref`."""
DATA = ("devices", "templates")
"""Kinds that are objects; all others without a spec are made by what is called."""

_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "str": lambda value: isinstance(value, str),
    "bool": lambda value: isinstance(value, bool),
    "int": lambda value: isinstance(value, int),
    "None": lambda value: value is None,
    "Any": lambda value: True,
    "Role": lambda value: value in ROLES,
    "Measured": lambda value: value in get_args(Measured),
    "Ref": lambda value: _is_reference(value) if isinstance(value, str) else callable(value),
    "float": lambda value: isinstance(value, int | float),
    # It needs numpy, which is imported where there is one.
    "Alignment": lambda value: isinstance(value, getattr(sys.modules.get("fer_core.faces"), "Alignment", ())),
}
_PARTS: Mapping[str, type] = {"Weights": Weights, "Claim": Claim, "ClassOrder": ClassOrder}


def declared(kind: str, returned: Any) -> list[tuple[Any, Any]]:
    """(name, value) of everything that a hook returned, not checked one by one yet.

    Raises:
        TypeError: It is not what the hook's documentation asks for.
    """
    if spec := SPECS.get(kind):
        if not isinstance(returned, Iterable):
            raise TypeError(f"expected a list of {spec.__name__}, got {shown(returned)}")
        values = list(returned)
        for value in values:
            if not isinstance(value, spec):
                raise TypeError(f"expected {spec.__name__}, got {type(value).__name__}")
        return [(value.name, value) for value in values]
    if not isinstance(returned, Mapping):
        raise TypeError(f"expected a mapping of names, got {type(returned).__name__}")
    return list(returned.items())


def check_declared(kind: str, name: Any, value: Any) -> None:
    """Raises TypeError where a name or what it stands for has the wrong type."""
    if not isinstance(name, str):
        raise TypeError(f"expected a name, got {shown(name)}")
    if kind in SPECS:
        _check_fields(value)
    elif isinstance(value, str):
        if not _is_reference(value):
            raise TypeError(f"{shown(value)} is not an import reference: write it as package.module:name")
    elif value is None or (kind not in DATA and not callable(value)):
        raise TypeError(f"expected an object that can be called or its import reference, got {shown(value)}")


def _check_fields(value: Any) -> None:
    for field in fields(value):
        found = getattr(value, field.name)
        if not _fits(found, str(field.type)):
            raise TypeError(f"{type(value).__name__}.{field.name} is {shown(found)}, expected {field.type}")


def _fits(value: Any, annotation: str) -> bool:
    """Whether a value has the type that a field's annotation names."""
    if " | " in annotation and not annotation.endswith("]"):
        return any(_fits(value, each) for each in annotation.split(" | "))
    outer, _, inner = annotation.removesuffix("]").partition("[")
    if outer == "tuple":
        return isinstance(value, tuple | list) and all(_fits(each, inner.removesuffix(", ...")) for each in value)
    if outer == "Mapping":
        key, _, other = inner.partition(", ")
        return isinstance(value, Mapping) and all(_fits(k, key) and _fits(v, other) for k, v in value.items())
    if part := _PARTS.get(outer):
        if isinstance(value, part):
            _check_fields(value)
        return isinstance(value, part)
    return _TYPES[outer](value)


def _is_reference(text: str) -> bool:
    return bool(re.fullmatch(r"[\w.]+:[^:\s]+", text))
