"""Values against the annotations of a function's parameters, by pydantic: strict types, finite numbers."""

from __future__ import annotations

import functools
import inspect
import json
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import is_dataclass
from enum import Enum
from pathlib import PurePath
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    ParamSpec,
    TypeGuard,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import BaseModel, ConfigDict, TypeAdapter

from fer_core.config.layers import show
from fer_core.errors import FerError, nearest

if TYPE_CHECKING:
    import numpy as np

P = ParamSpec("P")
R = TypeVar("R")

_STRICT = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)
_WORDS: Mapping[Any, tuple[str, str]] = {
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    bool: ("true or false", "true or false"),
    str: ("text", "texts"),
    type(None): ("null", "null"),
    Any: ("any value", "values"),
}
"""Types as one value and as several."""
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_BY_ITSELF = (inspect.Parameter.POSITIONAL_ONLY, *_BY_NAME)
"""Kinds of parameters that take one argument."""
_LISTS = (list, tuple, set, frozenset, Set, Sequence, Collection, Iterable)
_LIMITS = {"gt": "above", "ge": "of at least", "lt": "below", "le": "of at most"}


def annotation_of(parameter: inspect.Parameter, factory: Callable[..., Any]) -> Any:
    """The annotation as an object; `Any` where there is none, or it names what only type checkers import."""
    if parameter.annotation is parameter.empty:
        return Any
    while isinstance(factory, functools.partial):
        factory = factory.func
    function = inspect.unwrap(factory.__init__ if inspect.isclass(factory) else factory)

    def alone() -> None: ...

    alone.__annotations__ = {"option": parameter.annotation}
    try:
        return get_type_hints(alone, getattr(function, "__globals__", {}), include_extras=True)["option"]
    except Exception:  # a name that is not there, or any mistake in the text of an annotation
        return Any


def fitted(value: Any, annotation: Any) -> Any:
    """The value as its annotation asks for it: a list as a tuple, text as a path or a member of an enumeration.

    Raises:
        ValueError: It does not fit.
        TypeError: It does not fit, and is nothing that YAML could hold.
    """
    adapter = _adapter(annotation)
    if adapter is None:
        return value
    try:
        found = adapter.validate_python(value, strict=True)
    except ValueError:
        # JSON, as YAML, has lists and text in place of tuples, sets, paths and members of enumerations.
        found = adapter.validate_json(json.dumps(value), strict=True)
    return (
        value if isinstance(found, Iterator) else found
    )  # pydantic's view of an `Iterable` can be read only once


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Check the arguments of a public function against its annotations before it runs.

    Annotations that name what only type checkers import are not checked.

    Raises:
        FerError: When called, instead of a TypeError from somewhere inside: an argument of another type, or an
            unknown keyword. A call that lacks an argument, or has too many, still raises Python's TypeError.
    """
    signature = inspect.signature(function)
    name = function.__qualname__.removesuffix(".__init__").rpartition(".")[2]

    @functools.cache
    def annotations() -> dict[str, Any]:
        return {key: annotation_of(parameter, function) for key, parameter in signature.parameters.items()}

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        parameters = signature.parameters
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
            known = [key for key, parameter in parameters.items() if parameter.kind in _BY_NAME and key != "self"]
            for key in kwargs.keys() - known:
                raise FerError(f"{name} has no argument {key!r}: {nearest(key, known)}")
        bound = signature.bind(*args, **kwargs)
        for key, value in bound.arguments.items():
            annotation = annotations()[key]
            if _is_number(value):
                bound.arguments[key] = value = value.item()
            if parameters[key].kind in _BY_ITSELF and not _is_of(value, annotation):
                raise FerError(f"{name}: {key} is {_shown(value)}: expected {_in_python(annotation)}")
        return function(*bound.args, **bound.kwargs)

    return call


def _is_of(value: object, annotation: Any) -> bool:
    adapter = _adapter(annotation)
    if adapter is None:
        return True
    try:
        adapter.validate_python(value, strict=True)
    except (ValueError, TypeError, RecursionError):
        return False
    return True


def _is_number(value: object) -> TypeGuard[np.number[Any]]:
    """Whether it is a number of numpy's types, which stand for Python's."""
    return getattr(value, "shape", None) == () and type(value).__module__ == "numpy"


def _in_python(annotation: Any) -> str:
    """As `in_words`, in the terms of a program."""
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(map(_in_python, get_args(annotation)))
    if annotation is type(None):
        return "None"
    record = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return f"a {annotation.__name__}" if record else in_words(annotation)


def _shown(value: object) -> str:
    try:
        return show(value)
    except Exception:  # only what YAML knows is shown as it is
        return f"a {type(value).__name__}"


def _adapter(annotation: Any) -> TypeAdapter[Any] | None:
    """What checks values; None for annotations that pydantic cannot check, such as most protocols."""
    for config in (_STRICT, None):  # types with a configuration of their own take no other
        try:
            adapter = TypeAdapter(annotation, config=config)
            adapter.rebuild(raise_errors=True)
        except Exception:
            continue
        return adapter
    return None


def in_words(annotation: Any) -> str:
    """What an annotation asks for."""
    kind, args = get_origin(annotation), get_args(annotation)
    base = kind or annotation
    if kind is Annotated:
        return f"{in_words(args[0])} {' and '.join(_limits(args[1:]))}".strip()
    if kind in (Union, types.UnionType):
        return " or ".join(map(in_words, args))
    if kind is Literal:
        return " or ".join(map(show, args))
    if base in _WORDS:
        return _WORDS[base][0]
    if base in _LISTS:
        number = f"{len(args)} " if base is tuple and args and args[-1] is not Ellipsis else ""
        item = get_args(args[0])[0] if args and get_origin(args[0]) is Annotated else (*args, None)[0]
        alike = len({*args} - {Ellipsis}) == 1 and item in _WORDS
        items = _WORDS[item][1] if alike else "values"
        return f"a list of {number}{items}" if number or alike else "a list"
    if not isinstance(base, type):
        return str(base)
    if issubclass(base, Enum):
        return " or ".join(show(member.value) for member in base)
    if issubclass(base, PurePath):
        return "a path"
    return "a mapping" if issubclass(base, Mapping | BaseModel) or is_dataclass(base) else f"a {base.__name__}"


def _limits(metadata: tuple[Any, ...]) -> Iterator[str]:
    """The limits among what stands beside a type in `Annotated`."""
    for item in metadata:
        for part in getattr(item, "metadata", (item,)):  # pydantic's `Field` holds several
            for attribute, word in _LIMITS.items():
                if hasattr(part, attribute):
                    yield f"{word} {getattr(part, attribute)}"
