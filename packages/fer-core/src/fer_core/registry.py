"""Looking up names, with suggestions for unknown ones."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING, Any

from fer_core.boundary import Failure, describe
from fer_core.declarations import SPECS
from fer_core.errors import FerError, nearest
from fer_core.makers import Maker
from fer_core.plugins import (
    KINDS,
    Entry,
    Plugin,
    installed_versions,
    load_plugins,
    normalize,
    singular,
)
from fer_core.refs import read_resource, resolve
from fer_core.types import bare

if TYPE_CHECKING:
    from fer_core.provenance import Component

__all__ = [
    "KINDS",
    "check_kind",
    "check_recorded",
    "entry",
    "factory",
    "find",
    "known",
    "maker",
    "matching",
    "names",
    "recorded",
    "reference",
    "singular",
    "suspects",
]


def names(kind: str) -> tuple[str, ...]:
    """Names of one kind, in the order of plugins, the core's first; qualified where several claim a name."""
    entries = load_plugins().entries[check_kind(kind)]
    return tuple(load_plugins().canonical(kind, e.qualified) for claims in entries.values() for e in claims)


def matching(kind: str, pattern: str) -> list[str]:
    """Sorted names of one kind that match `pattern`, by name or alias: `*`, `?` and `[...]` as in a shell.

    Case is ignored, and `-` equals `_`.
    """
    pieces = re.split(r"(\[[^]]*\])", pattern.casefold())  # in brackets `-` is a range
    wanted = "".join(piece if piece.startswith("[") else normalize(piece) for piece in pieces)
    plugins = load_plugins()
    entries = [entry for claims in plugins.entries[check_kind(kind)].values() for entry in claims]
    found = {
        plugins.canonical(kind, entry.qualified)
        for entry in entries
        if any(fnmatchcase(normalize(name), wanted) for name in (*entry.names, entry.qualified))
    }
    return sorted(found)


def find(kind: str, name: str) -> Any:
    """What `name` stands for: the spec of a model, dataset or command, the factory of anything else.

    Aliases work, `NAME@DISTRIBUTION` means the component of that distribution, and case, `-` and `_` do not count.
    The spec of a name that several distributions claim is called by its qualified name.

    Raises:
        FerError: The name is unknown, several plugins claim it, or its factory fails to import.
    """
    found = entry(kind, name)
    if kind not in SPECS:
        return _factory(kind, found)
    canonical = load_plugins().canonical(kind, found.qualified)
    return found.value if canonical == found.name else replace(found.value, name=canonical)


def factory(kind: str, name: str) -> Any:
    """The factory behind `name` (of a command: the click command), imported.

    Raises:
        FerError: As `find`.
    """
    return _factory(kind, entry(kind, name))


def entry(kind: str, name: str) -> Entry:
    """The one claim to a name, with the plugin that makes it.

    Raises:
        FerError: The name is unknown, or several plugins claim it.
    """
    claims = load_plugins().claims(check_kind(kind), name)
    if len(claims) == 1:
        return claims[0]
    raise FerError(_clash(kind, name, claims) if claims else _missing(kind, name))


def maker(kind: str, name: str) -> Maker:
    """The component that `name` means, and its distribution. Raises FerError as `entry` does."""
    found = entry(kind, name)
    return Maker(singular(kind), found.name, found.plugin.distribution, found.plugin.version)


def recorded(kind: str, name: str, components: Sequence[Component]) -> str:
    """The name under which the component that a record calls `name` is known here.

    It differs where another distribution has come to claim the name.

    Raises:
        FerError: The name is unknown, and the record says which distribution brings it, which is not installed.
    """
    key = normalize(bare(name))
    homes = {of.distribution for of in components if of.kind == kind and normalize(of.name) == key}
    home = homes.pop() if len(homes) == 1 else ""
    if home and not load_plugins().claims(kind, name) and not installed_versions([home]):
        version = next(of.version for of in components if of.distribution == home)
        raise FerError(
            f"{singular(kind)} {name!r} comes with {home} {version}, which is not installed: pip install {home}"
        )
    return load_plugins().canonical(kind, name, home)


def check_recorded(components: Sequence[Component]) -> None:
    """Raises FerError as `recorded` for the first component of a run whose distribution is not installed.

    Devices are left out: another one can take their place.
    """
    for of in components:
        if of.kind in KINDS and of.kind != "devices":
            recorded(of.kind, of.name, components)


def check_kind(kind: str) -> str:
    """`kind` itself.

    Raises:
        FerError: There is no such kind.
    """
    if kind not in KINDS:
        raise FerError(f"there is no kind {kind!r}: {nearest(kind, KINDS)}")
    return kind


@cache
def known() -> Mapping[str, Mapping[str, str]]:
    """Kind -> well-known name -> the distribution that brings it, installed or not."""
    table: dict[str, dict[str, str]] = json.loads(read_resource("fer_core:known_plugins.json"))
    return table


def suspects(*kinds: str) -> str:
    """Failed or disabled plugins that may provide an unknown name; empty if there are none."""
    text = ""
    if broken := _broken(*kinds):
        text += f" (or it belongs to what failed to load, {_homes(broken)}: run `fer-run doctor`)"
    if disabled := load_plugins().disabled:
        text += f" (or it belongs to what FER_DISABLE_PLUGINS switches off, {_homes(disabled)})"
    return text


def _broken(*kinds: str) -> list[Failure]:
    stages = {"load", "register", *(f"hook fer_{kind}" for kind in kinds)}
    return [failure for failure in load_plugins().failures if failure.stage in stages and not failure.works]


def reference(kind: str, entry: Entry) -> Any:
    """The factory of an entry, or the reference to it."""
    field = {
        "models": "factory",
        "datasets": "factory",
        "splits": "divide",
        "metrics": "function",
        "commands": "ref",
    }.get(kind)
    return getattr(entry.value, field) if field else entry.value


def _factory(kind: str, entry: Entry) -> Any:
    try:
        return resolve(reference(kind, entry))
    except (FerError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a plugin's module may raise anything, and try to end the process
        if os.environ.get("FER_STRICT") == "1":
            raise
        home = entry.plugin
        raise FerError(
            f"{singular(kind)} {entry.name!r} of {home.distribution} {home.version} cannot be imported "
            f"({describe(error)}): reinstall {home.distribution}, or see where with FER_DEBUG=1"
        ) from error


def _clash(kind: str, name: str, claims: list[Entry]) -> str:
    homes = [f"{e.plugin.distribution} {e.plugin.version} (plugin {e.plugin.name})" for e in claims]
    claimed = f"{singular(kind)} {name!r} is claimed by {' and by '.join(homes)}"
    if len({e.qualified for e in claims}) == len(claims):
        return f"{claimed}: write {' or '.join(e.qualified for e in claims)}"
    return f"{claimed}: switch one off, such as FER_DISABLE_PLUGINS={claims[-1].plugin.name}"


def _missing(kind: str, name: str) -> str:
    plugins, noun = load_plugins(), singular(kind)
    own, _, distribution = name.partition("@")
    if others := plugins.claims(kind, own):
        return f"there is no {noun} {name!r}: did you mean {' or '.join(e.qualified for e in others)}?"
    bring = {normalize(key): home for key, home in known().get(kind, {}).items()}
    home = bring.get(normalize(own))
    if distribution and normalize(distribution) != normalize(home or ""):
        home = None
    if home in {plugin.distribution for plugin in plugins.disabled}:
        return (
            f"{noun} {name!r} comes with {home}, which FER_DISABLE_PLUGINS switches off: take it out of that list"
        )
    for failure in plugins.failures:
        if failure.stage == f"fer_{kind}, name {own!r}":
            return f"{noun} {name!r} is refused, since {failure}: correct or update {failure.distribution}"
    for failure in _broken(kind):
        if failure.distribution == home:
            return f"{noun} {name!r} comes with {home}, but {failure}: run `fer-run doctor`"
    if home and home not in {plugin.distribution for plugin in plugins.loaded}:
        return f"{noun} {name!r} comes with {home}, which is not installed: pip install {home}"
    if home:
        return f"{noun} {name!r} is not in the installed version of {home}: pip install --upgrade {home}"
    aliases = [alias for claims in plugins.entries[kind].values() for e in claims for alias in e.names[1:]]
    near = nearest(own, [*plugins.entries[kind], *aliases] or known().get(kind, ()))
    return f"there is no {noun} {name!r}: {near}{suspects(kind)}"


def _homes(plugins: Iterable[Plugin | Failure]) -> str:
    return ", ".join(dict.fromkeys(f"{p.distribution} {p.version}" for p in plugins))
