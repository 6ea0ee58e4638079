"""`fer-run info`: everything known about one name."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import click

from fer_core import registry
from fer_core.cli.described import describe
from fer_core.cli.options import json_option, print_json
from fer_core.declarations import SPECS
from fer_core.errors import FerError
from fer_core.plugins import Entry, load_plugins, normalize
from fer_core.types import Json, bare

if TYPE_CHECKING:
    from fer_core.card import Card, CardFigure


@runtime_checkable
class HasDump(Protocol):
    """A model of pydantic."""

    def model_dump(self, *, mode: str) -> Json:
        """Its fields, as JSON represents them."""


@click.command()
@click.argument("name")
@json_option
def info(name: str, as_json: bool) -> None:
    """Describe NAME: a model, weights, a dataset, or any other name that `fer-run list` shows."""
    plugins = load_plugins()
    found: dict[str, dict[str, Json]] = {}
    for kind in registry.KINDS:
        claims = plugins.claims(kind, name)
        for entry in claims:
            noun, label = registry.singular(kind), plugins.canonical(kind, entry.qualified)
            found[noun if len(claims) == 1 else f"{noun} {label}"] = _facts(kind, label, entry, as_json=as_json)
    if not found:
        raise FerError(_missing(name))
    if as_json:
        print_json(found)
        return
    for number, (noun, facts) in enumerate(found.items()):
        click.echo(("\n" if number else "") + f"{noun.partition(' ')[0]} {facts.pop('name')}")
        _print(facts, "  ")


def _missing(name: str) -> str:
    for kind, known in registry.known().items():
        if normalize(name) in map(normalize, known):
            registry.find(kind, name)  # raises, naming the distribution that brings it
    names = [key for kind in registry.KINDS for key in registry.names(kind)]
    near = get_close_matches(bare(name), names)
    hint = f"did you mean {' or '.join(near)}?" if near else "fer-run list shows all names"
    return f"unknown name {name!r}: {hint}{registry.suspects(*registry.KINDS)}"


def _facts(kind: str, name: str, entry: Entry, *, as_json: bool) -> dict[str, Json]:
    facts: dict[str, Json] = {"name": name}
    if kind in SPECS:
        facts = {key: _plain(value) for key, value in vars(entry.value).items()} | facts
    facts["from"] = f"{entry.plugin.distribution} {entry.plugin.version} (plugin {entry.plugin.name})"
    if kind == "weights":
        from fer_core.card import read_card  # pydantic takes as long as all the rest

        card = read_card(entry.value)
        facts["card"] = _plain(card) if as_json else _in_lines(card)
    elif kind not in ("experiments", "commands"):
        facts |= _factory_facts(kind, entry)
    return facts


def _in_lines(card: Card) -> dict[str, Json]:
    """A card with a line for each of its inputs, figures, limits and commands."""
    inputs = [f"{of.kind} {of.name}: {of.licence}{f' ({of.homepage})' * bool(of.homepage)}" for of in card.inputs]
    lists = {"inputs": inputs, "figures": map(_figure_line, card.figures), "limits": card.limits}
    joined = {name: "\n".join(lines) for name, lines in {**lists, "commands": card.commands}.items()}
    return {name: joined.get(name) or _plain(value) for name, value in vars(card).items()}


def _figure_line(figure: CardFigure) -> str:
    what = f"{figure.dataset} {figure.part} {figure.metric}{f' of {figure.of_class}' if figure.of_class else ''}"
    parts = [f"{what}: {figure.value:.4f}"]
    if figure.interval is not None:
        parts[0] += f" ({figure.interval[0]:.4f} to {figure.interval[1]:.4f})"
    parts += [f"{figure.count:,} faces"] if figure.count else []
    parts += [f"head {figure.head}"] if "head" in figure.model_fields_set else []
    parts += [f"through {figure.through}"] if figure.through else []
    return ", ".join(parts) + (f"; {figure.note}" if figure.note else "")


def _factory_facts(kind: str, entry: Entry) -> dict[str, Json]:
    """Signature and documentation of the factory, which is imported for it only where its source does not say."""
    ref = registry.reference(kind, entry)
    if isinstance(ref, str) and (read := describe(ref)) is not None:
        return {"signature": f"{entry.name}{read.signature}", "documentation": read.documentation}
    try:
        factory = registry.factory(kind, entry.qualified)
    except FerError as error:  # the rest is still worth showing
        return {"signature": f"unknown: {error}"}
    if not callable(factory):
        return {key: value for key, value in vars(factory).items() if isinstance(value, (str, int, float))}
    signature = inspect.signature(factory)
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
    signature = signature.replace(parameters=bare, return_annotation=inspect.Signature.empty)
    return {"signature": f"{entry.name}{signature}", "documentation": inspect.getdoc(factory) or ""}


def _plain(value: object) -> Json:
    """`value` as JSON represents it."""
    if isinstance(value, HasDump):  # a record
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(item) for name, item in vars(value).items()}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (str, int, bool)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if inspect.isroutine(value) or isinstance(value, type):
        return f"{value.__module__}:{value.__qualname__}"
    return str(value)


def _print(facts: Mapping[str, Json], indent: str) -> None:
    width = max(map(len, facts), default=0)
    for key, value in facts.items():
        if value in (None, "", [], {}):
            continue
        if isinstance(value, Mapping) and all(isinstance(item, (int, float)) for item in value.values()):
            value = ", ".join(f"{name} {count}" for name, count in value.items())
        if isinstance(value, Mapping):
            click.echo(f"{indent}{key}")
            _print(value, indent + "  ")
        elif isinstance(value, list) and (entries := [item for item in value if isinstance(item, Mapping)]):
            for item in entries:
                click.echo(f"{indent}{key}")
                _print(item, indent + "  ")
        elif isinstance(value, str) and "\n" in value:
            click.echo(f"{indent}{key}")
            click.echo("\n".join(f"{indent}  {line}".rstrip() for line in value.splitlines()))
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            click.echo(f"{indent}{key:<{width}}  {text}")
