"""Signature and documentation of what a reference names, read from its source: nothing is imported for it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import NamedTuple


@dataclass(frozen=True)
class Described:
    """What a source says of a factory: its signature as `inspect` writes it, without annotations, and its text."""

    signature: str
    documentation: str


class _Module(NamedTuple):
    """A module's source."""

    package: str
    body: list[ast.stmt]


class _Place(NamedTuple):
    """A definition and the module that it stands in."""

    module: _Module
    node: ast.FunctionDef | ast.ClassDef


def describe(ref: str) -> Described | None:
    """What the source of `package.module:name` says; None where that takes an import.

    That is so for what is no function or class there or is decorated, for classes whose constructor is made for
    them or may come from several, and for defaults that are computed.
    """
    name, _, attribute = ref.partition(":")
    module = _read(name)
    place = module and _find(module, attribute)
    arguments = place and _arguments(place)
    if place is None or arguments is None or not _plain(arguments):
        return None
    return Described(f"({ast.unparse(arguments)})", _documentation(place))


@cache
def _read(name: str) -> _Module | None:
    places = None
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        spec = PathFinder.find_spec(".".join(parts[:end]), places)
        if spec is None:
            return None
        places = spec.submodule_search_locations
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    package = name if places is not None else name.rpartition(".")[0]
    return _Module(package, ast.parse(Path(spec.origin).read_bytes()).body)


def _find(module: _Module, name: str) -> _Place | None:
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return _Place(module, node)
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    other = _read(_absolute(module, node))
                    return other and _find(other, alias.name)
    return None


def _absolute(module: _Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    above = module.package.rsplit(".", node.level - 1)[0]
    return f"{above}.{node.module}" if node.module else above


def _arguments(place: _Place) -> ast.arguments | None:
    """Those of a function or, without the instance, of a class."""
    module, node = place
    if node.decorator_list:
        return None
    if isinstance(node, ast.FunctionDef):
        return node.args
    if node.keywords:
        return None
    methods = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
    if "__init__" in methods:
        if methods["__init__"].decorator_list:
            return None
        own = methods["__init__"].args
        first = own.posonlyargs or own.args
        rest = ast.arguments(**{**vars(own), "args": own.args[1:] if first is own.args else own.args})
        return rest if first is own.args else None
    if not node.bases:
        return ast.arguments([], [], None, [], [], None, [])
    base = node.bases[0] if len(node.bases) == 1 and "__new__" not in methods else None
    above = _find(module, base.id) if isinstance(base, ast.Name) else None
    return _arguments(above) if above and isinstance(above.node, ast.ClassDef) else None


def _plain(arguments: ast.arguments) -> bool:
    """Take the annotations away; whether every default is a literal."""
    listed = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    for argument in listed:
        if argument is not None:
            argument.annotation = None
    try:
        for default in (*arguments.defaults, *arguments.kw_defaults):
            if default is not None:
                ast.literal_eval(default)
    except ValueError:
        return False
    return True


def _documentation(place: _Place) -> str:
    """Its own or, of a class without one, that of the first class above with one."""
    module, node = place
    if text := ast.get_docstring(node):
        return text
    bases = node.bases if isinstance(node, ast.ClassDef) else []
    above = [_find(module, base.id) for base in bases if isinstance(base, ast.Name)]
    return next((text for each in above if each and (text := _documentation(each))), "")
