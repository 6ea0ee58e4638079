"""Checks a component's options against the signature of its factory, before anything is built."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin

from fer_core.config.layers import show
from fer_core.errors import FerError, nearest

_LISTS = (list, tuple, Sequence)
_MAPPINGS = (dict, Mapping)
_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "null"}


def check_options(
    kind: str,
    name: str,
    factory: Callable[..., Any],
    options: Mapping[str, Any],
    skip: Collection[str] = (),
    origin: Mapping[str, str] | None = None,
) -> None:
    """Refuses options that `factory` does not take.

    Args:
        kind: Dotted name of the section: `optimizer`, `data.sampler`.
        name: Name of the component.
        factory: Function or class; one with `**kwargs` takes any option.
        options: Option names and values.
        skip: Parameters that the framework fills in; they are no options.
        origin: Layers by dotted key (`Resolved.origin`), named in messages when given.

    Raises:
        FerError: An unknown option, one of the wrong type, or a required one that is missing.
    """
    parameters = _parameters(factory)
    if parameters is None:
        return
    known = {
        key: parameter
        for key, parameter in parameters.items()
        if key not in skip and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    for key, value in options.items():
        dotted = f"{kind}.{key}"
        layer = f" ({origin[dotted]})" if origin and dotted in origin else ""
        if key in known:
            annotation = _evaluated(known[key].annotation, factory)
            if not _fits(value, annotation):
                expected = _in_words(annotation)
                raise FerError(
                    f"{dotted} is {show(value)}{layer}, which {name} does not take: expected {expected}"
                )
        elif key in skip:
            raise FerError(f"{dotted}: set by the framework, not an option of {name}{layer}: remove it")
        elif not takes_any:
            hint = nearest(key, known) if known else "it has no options: remove it"
            raise FerError(f"{dotted}: unknown option of {name}, {hint}{layer}")
    for key, parameter in known.items():
        if parameter.default is parameter.empty and key not in options:
            raise FerError(f"{kind}.{key}: missing, {name} needs it: set it with -o {kind}.{key}=VALUE")


def _parameters(factory: Callable[..., Any]) -> Mapping[str, inspect.Parameter] | None:
    try:
        return inspect.signature(factory).parameters
    except (TypeError, ValueError):  # compiled callables have no signature
        return None


def _evaluated(annotation: Any, factory: Callable[..., Any]) -> Any:
    """The annotation as an object; `Any` where it names what is imported for type checkers only."""
    if annotation is inspect.Parameter.empty:
        return Any
    if not isinstance(annotation, str):
        return annotation
    while isinstance(factory, functools.partial):
        factory = factory.func
    function = factory.__init__ if inspect.isclass(factory) else factory
    try:
        return eval(annotation, getattr(inspect.unwrap(function), "__globals__", {}))
    except Exception:
        return Any


def _fits(value: Any, annotation: Any) -> bool:
    """Whether `value` is of the annotated type; true for every annotation that YAML has no type for."""
    kind, args = get_origin(annotation), get_args(annotation)
    if kind in (Union, types.UnionType):
        return any(_fits(value, arg) for arg in args)
    if kind is Literal:
        return any(value == arg and type(value) is type(arg) for arg in args)
    if kind is tuple and args and args[-1] is not Ellipsis:
        return isinstance(value, list | tuple) and len(value) == len(args) and all(map(_fits, value, args))
    if kind in _LISTS or annotation in _LISTS:
        return isinstance(value, list | tuple) and all(_fits(item, args[0]) for item in value if args)
    if kind in _MAPPINGS or annotation in _MAPPINGS:
        return isinstance(value, Mapping)
    if annotation is None or annotation is type(None):
        return value is None
    if annotation in (bool, str):
        return isinstance(value, annotation)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if annotation is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return True


def _in_words(annotation: Any) -> str:
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(_in_words(arg) for arg in get_args(annotation))
    if get_origin(annotation) is Literal:
        return " or ".join(show(arg) for arg in get_args(annotation))
    if get_origin(annotation) is tuple and get_args(annotation)[-1] is not Ellipsis:
        return f"a list of {len(get_args(annotation))} values"
    if (get_origin(annotation) or annotation) in _LISTS:
        return "a list"
    if (get_origin(annotation) or annotation) in _MAPPINGS:
        return "a mapping"
    return _NAMES.get(type(None) if annotation is None else annotation, str(annotation))
