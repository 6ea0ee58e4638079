"""Component names in a configuration, each in its shortest unambiguous form."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from fer_core.config.schema import Config, plain
from fer_core.config.yaml_text import Tree, Yaml
from fer_core.plugins import load_plugins
from fer_core.types import split_name

Place: TypeAlias = "str | list[str] | dict[str, Place]"
"""A kind, a list of `name` or `{name: {options}}` of a kind, or the places in a mapping."""
Rename = Callable[[str, str], str]
"""(kind, name) -> name."""

_NESTED: dict[str, dict[str, Place]] = {
    "losses": {"base": "losses"},
    "optimizers": {"base": "optimizers"},
    "transforms": {"transforms": ["transforms"]},
}
"""By kind, the options that name further components."""
_PLACES: dict[str, Place] = {
    "loss": "losses",
    "optimizer": "optimizers",
    "scheduler": "schedulers",
    "data": {
        "split": "splits",
        "sampler": "samplers",
        "train_transforms": ["transforms"],
        "eval_transforms": ["transforms"],
        "alignment": {"template": "templates"},
    },
    "train": {"trainer": "trainers"},
    "metrics": ["metrics"],
    "callbacks": ["callbacks"],
}


def shorten_names(values: Yaml, distribution: str = "") -> Yaml:
    """A layer of a configuration in which equal components have equal names.

    Args:
        values: The layer.
        distribution: Resolves a name that several distributions claim; empty: such a name stays as it is.
    """
    plugins = load_plugins()
    return _renamed(values, _PLACES, lambda kind, name: plugins.canonical(kind, name, distribution))


def component_names(config: Config) -> set[tuple[str, str]]:
    """(kind, name) of what a configuration names, nested components too; not of its model, dataset and device."""
    found: set[tuple[str, str]] = set()

    def note(kind: str, name: str) -> str:
        found.add((kind, name))
        return name

    _renamed(plain(config), _PLACES, note)
    return found


def _renamed(value: Yaml, place: Place, rename: Rename) -> Yaml:
    if isinstance(place, list):
        return [_item(item, place[0], rename) for item in value] if isinstance(value, list) else value
    if isinstance(place, str):
        if isinstance(value, str):
            name, rest = split_name(value) if place == "splits" else (value, "")
            return rename(place, name) + rest
        place = {"name": place, **_NESTED.get(place, {})}
    if not isinstance(value, dict):
        return value
    return {key: _renamed(item, place[key], rename) if key in place else item for key, item in value.items()}


def _item(item: Yaml, kind: str, rename: Rename) -> Yaml:
    if isinstance(item, str):
        return rename(kind, item)
    if not isinstance(item, dict):
        return item
    inner = _NESTED.get(kind, {})
    renamed: Tree = {rename(kind, name): _renamed(options, inner, rename) for name, options in item.items()}
    return renamed
