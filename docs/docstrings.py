"""Docstrings and signatures as Markdown."""

from __future__ import annotations

import inspect
import re
from typing import Any


class _Bare(str):
    """An annotation that is printed without quotes."""

    def __repr__(self) -> str:
        return str(self)


def described(text: str) -> list[str]:
    """A docstring as Markdown."""
    parts = re.split(r"^(\w+):\n", text, flags=re.MULTILINE)
    lines = [parts[0].strip(), ""]
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        content = inspect.cleandoc(body)
        if title in ("Args", "Attributes"):
            content = re.sub(r"^(\*{0,2}\w+): ", r"- `\1`: ", content, flags=re.MULTILINE)
        apart = title in ("Args", "Attributes") or "\n\n" in content or content.startswith("```")
        separator = "\n\n" if apart else " "
        lines += [f"**{title}**{separator}{content}", ""]
    return lines


def call(name: str, function: Any) -> list[str]:
    """A function or a property: how it is called, then its docstring."""
    if isinstance(function, property):
        return [f"`{name}`", "", *described(inspect.getdoc(function) or "")]
    if hasattr(function, "__wrapped__") and inspect.isgeneratorfunction(inspect.unwrap(function)):
        name = f"with {name}"
    return [f"`{name}{signature(function)}`", "", *described(inspect.getdoc(function) or "")]


def signature(function: Any) -> str:
    """The parameters of a function or class, and what a function returns, with annotations as they are written."""
    whole = inspect.signature(function)
    parameters = [
        parameter.replace(annotation=_Bare(parameter.annotation))
        if parameter.annotation is not parameter.empty
        else parameter
        for parameter in whole.parameters.values()
        if parameter.name not in ("self", "cls")
    ]
    returns = inspect.Signature.empty if inspect.isclass(function) else _Bare(whole.return_annotation)
    return str(whole.replace(parameters=parameters, return_annotation=returns)).replace(repr(print), "print")
