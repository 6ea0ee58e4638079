"""Looking names up, and saying what to do where a name is not there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from fer_core.errors import FerError, nearest
from fer_core.plugins import KINDS, SPECS, Entry, Failure, Plugin, describe, load_plugins, normalize
from fer_core.refs import read_resource, resolve

__all__ = ["KINDS", "check_kind", "entry", "factory", "find", "known", "names", "singular", "suspects"]


def names(kind: str) -> tuple[str, ...]:
    """Names of one kind, in the order of plugins; the core's come first."""
    return tuple(load_plugins().entries[check_kind(kind)])


def find(kind: str, name: str) -> Any:
    """What `name` stands for: the spec of a model, dataset or command, the factory of anything else.

    Aliases work, and case, `-` and `_` do not count.

    Raises:
        FerError: The name is unknown, several plugins claim it, or its factory fails to import.
    """
    found = entry(kind, name)
    return found.value if kind in SPECS else _factory(kind, found)


def factory(kind: str, name: str) -> Any:
    """The factory behind `name` (of a command: the click command), imported.

    Raises:
        FerError: As `find`.
    """
    return _factory(kind, entry(kind, name))


def check_kind(kind: str) -> str:
    """`kind` itself.

    Raises:
        FerError: There is no such kind.
    """
    if kind not in KINDS:
        raise FerError(f"there is no kind {kind!r}: {nearest(kind, KINDS)}")
    return kind


def singular(kind: str) -> str:
    """`models` -> `model`."""
    return "loss" if kind == "losses" else kind.removesuffix("s")


@cache
def known() -> Mapping[str, Mapping[str, str]]:
    """Kind -> well-known name -> the distribution that brings it, installed or not."""
    table: dict[str, dict[str, str]] = json.loads(read_resource("fer_core:known_plugins.json"))
    return table


def suspects(*kinds: str) -> str:
    """Which plugins, failed or switched off, may be the home of an unknown name; empty where there is none."""
    text = ""
    if broken := _broken(*kinds):
        text += f" (or it belongs to what failed to load, {_homes(broken)}: run `fer-run doctor`)"
    if disabled := load_plugins().disabled:
        text += f" (or it belongs to what FER_DISABLE_PLUGINS switches off, {_homes(disabled)})"
    return text


def _broken(*kinds: str) -> list[Failure]:
    stages = {"load", "register", *(f"hook fer_{kind}" for kind in kinds)}
    return [failure for failure in load_plugins().failures if failure.stage in stages]


def entry(kind: str, name: str) -> Entry:
    """The one claim to a name, with the plugin that makes it.

    Raises:
        FerError: The name is unknown, or several plugins claim it.
    """
    claims = load_plugins().claims(check_kind(kind), name)
    if len(claims) == 1:
        return claims[0]
    raise FerError(_clash(kind, name, claims) if claims else _missing(kind, name))


def _factory(kind: str, entry: Entry) -> Any:
    ref = {"models": "factory", "datasets": "factory", "commands": "ref"}.get(kind)
    try:
        return resolve(getattr(entry.value, ref) if ref else entry.value)
    except FerError:
        raise
    except Exception as error:  # a plugin's module may raise anything
        if os.environ.get("FER_STRICT") == "1":
            raise
        home = entry.plugin
        raise FerError(
            f"{singular(kind)} {entry.name!r} of {home.distribution} {home.version} cannot be imported "
            f"({describe(error)}): reinstall {home.distribution}, or see where with FER_DEBUG=1"
        ) from error


def _clash(kind: str, name: str, claims: list[Entry]) -> str:
    homes = [f"{e.plugin.distribution} {e.plugin.version} (plugin {e.plugin.name})" for e in claims]
    others = [e.plugin for e in claims if e.plugin.distribution != "fer-core"]
    one_home = len({e.plugin.distribution for e in claims}) == 1
    out = others[-1].name if one_home else others[-1].distribution
    return (
        f"{singular(kind)} {name!r} is claimed by {' and by '.join(homes)}: uninstall one, "
        f"or switch one off, such as FER_DISABLE_PLUGINS={out}"
    )


def _missing(kind: str, name: str) -> str:
    plugins = load_plugins()
    noun = singular(kind)
    bring = {normalize(key): home for key, home in known().get(kind, {}).items()}
    home = bring.get(normalize(name))
    if home in {plugin.distribution for plugin in plugins.disabled}:
        return (
            f"{noun} {name!r} comes with {home}, which FER_DISABLE_PLUGINS switches off: take it out of that list"
        )
    for failure in _broken(kind):
        if failure.distribution == home:
            return f"{noun} {name!r} comes with {home}, but {failure}: run `fer-run doctor`"
    if home and home not in {plugin.distribution for plugin in plugins.loaded}:
        return f"{noun} {name!r} comes with {home}, which is not installed: pip install {home}"
    if home:
        return f"{noun} {name!r} is not in the installed version of {home}: pip install --upgrade {home}"
    entries = plugins.entries[kind]
    aliases = [alias for claims in entries.values() for e in claims for alias in getattr(e.value, "aliases", ())]
    near = nearest(name, [*entries, *aliases] or known().get(kind, ()))
    return f"there is no {noun} {name!r}: {near}{suspects(kind)}"


def _homes(plugins: Iterable[Plugin | Failure]) -> str:
    return ", ".join(dict.fromkeys(f"{p.distribution} {p.version}" for p in plugins))
