"""Finding and loading plugins, each inside its own boundary.

pluggy's own loader stops everything at the first bad plugin. Here each entry point is loaded, registered and
checked on its own, and each hook implementation is called on its own; what fails becomes a `Failure`, one line on
stderr, and everything else works on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pluggy

from fer_core import builtins
from fer_core.errors import FerError
from fer_core.hookspecs import PROJECT, device, loss, registry, trainer
from fer_core.types import CommandSpec, DatasetSpec, ModelSpec

KINDS = (
    "models",
    "datasets",
    "losses",
    "optimizers",
    "schedulers",
    "samplers",
    "transforms",
    "callbacks",
    "devices",
    "trainers",
    "detectors",
    "templates",
    "commands",
)
"""What plugins can bring; the hook of each kind is `fer_KIND`."""

SPECS: Mapping[str, type] = {"models": ModelSpec, "datasets": DatasetSpec, "commands": CommandSpec}
"""Kinds whose hook returns specs; the hooks of all others return name -> `Ref`."""


def normalize(name: str) -> str:
    """`name` as it is compared: case, `-` and `_` do not count."""
    return name.casefold().replace("-", "").replace("_", "")


def describe(error: BaseException) -> str:
    """An exception as one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


@dataclass(frozen=True)
class Failure:
    """One thing that a plugin failed at; `str()` is its report in one line."""

    plugin: str
    distribution: str
    version: str
    stage: str
    error: str

    def __str__(self) -> str:
        return f"plugin {self.plugin} of {self.distribution} {self.version} failed at {self.stage}: {self.error}"


@dataclass(frozen=True)
class Plugin:
    """A plugin: its entry point's name, where it comes from, and the names it brings, kind by kind."""

    name: str
    distribution: str
    version: str
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """One claim to a name: a spec or `Ref`, and the plugin that makes the claim."""

    name: str
    value: Any
    plugin: Plugin

    @property
    def keys(self) -> frozenset[str]:
        """The name and its aliases, as they are compared."""
        return frozenset(map(normalize, (self.name, *getattr(self.value, "aliases", ()))))


class Plugins:
    """The loaded plugins, the names they bring, and what failed.

    Args:
        disable: Entry points or distributions to leave out.
        strict: Raise what a plugin raises, for its author.

    Attributes:
        loaded: Plugins that work, the core first.
        disabled: Plugins left out on request.
        failures: What went wrong, in order.
        entries: kind -> name -> every claim to that name.
    """

    def __init__(self, disable: Iterable[str] = (), *, strict: bool = False) -> None:
        self.loaded: list[Plugin] = []
        self.disabled: list[Plugin] = []
        self.failures: list[Failure] = []
        self.entries: dict[str, dict[str, list[Entry]]] = {kind: {} for kind in KINDS}
        self._strict = strict
        self._registered: dict[str, Plugin] = {}
        self._manager = pluggy.PluginManager(PROJECT)
        for module in (registry, trainer, loss, device):
            self._manager.add_hookspecs(module)
        self._add(Plugin("core", "fer-core", version("fer-core")), lambda: builtins)
        off = {normalize(name) for name in disable}
        for plugin, load in _installed():
            if off & {normalize(plugin.name), normalize(plugin.distribution)}:
                self.disabled.append(plugin)
            else:
                self._add(plugin, load)
        for kind in KINDS:
            self._collect(kind)

    def claims(self, kind: str, name: str) -> list[Entry]:
        """Every entry that `name` can mean."""
        key = normalize(name)
        return [entry for claims in self.entries[kind].values() for entry in claims if key in entry.keys]

    def clashes(self) -> list[tuple[str, str, list[Entry]]]:
        """(kind, name, claims) for each name that more than one entry claims."""
        found = []
        for kind in KINDS:
            keys = dict.fromkeys(
                key for claims in self.entries[kind].values() for e in claims for key in sorted(e.keys)
            )
            found += [(kind, key, claims) for key in keys if len(claims := self.claims(kind, key)) > 1]
        return found

    def fetch(self, uri: str, cache: Path) -> Path | None:
        """Local copy of `uri` from the first plugin that knows its scheme; None where none does.

        Raises:
            FerError: The plugin that knows the scheme says what the user can correct.
        """
        given = {"uri": uri, "cache": cache}
        for impl in reversed(self._manager.hook.fer_fetch.get_hookimpls()):
            with self._boundary(self._registered[impl.plugin_name], "hook fer_fetch", FerError):
                path: Any = impl.function(*(given[name] for name in impl.argnames))
                if path is not None:
                    return Path(path)
        return None

    def _add(self, plugin: Plugin, load: Callable[[], Any]) -> None:
        with self._boundary(plugin, "load"):
            module = load()
            with self._boundary(plugin, "register"):
                self._register(plugin, module)

    def _register(self, plugin: Plugin, module: Any) -> None:
        key = f"{plugin.distribution}:{plugin.name}"
        try:
            self._manager.register(module, key)
            self._manager.check_pending()
        except Exception:
            if self._manager.get_name(module) == key:  # wholly or, by an older pluggy, half registered
                self._manager.unregister(module)
            raise
        self._registered[key] = plugin
        self.loaded.append(plugin)

    def _collect(self, kind: str) -> None:
        for impl in getattr(self._manager.hook, f"fer_{kind}").get_hookimpls():
            plugin = self._registered[impl.plugin_name]
            with self._boundary(plugin, f"hook fer_{kind}"):
                pairs = _pairs(kind, impl.function())
                for name, value in pairs:
                    self.entries[kind].setdefault(name, []).append(Entry(name, value, plugin))
                plugin.names[kind] = tuple(name for name, _ in pairs)

    @contextmanager
    def _boundary(self, plugin: Plugin, stage: str, *passing: type[Exception]) -> Iterator[None]:
        """Turn what `plugin` raises, even an attempt to exit, into a failure; exceptions in `passing` pass."""
        try:
            yield
        except passing:
            raise
        except (Exception, SystemExit) as error:
            if self._strict:
                raise
            failure = Failure(plugin.name, plugin.distribution, plugin.version, stage, describe(error))
            self.failures.append(failure)
            sys.stderr.write(f"Warning: {failure}; run `fer-run doctor`\n")


def _installed() -> list[tuple[Plugin, Callable[[], Any]]]:
    found = []
    for point in entry_points(group=PROJECT):
        if point.dist is None:
            continue
        found.append((Plugin(point.name, point.dist.name, point.dist.version), point.load))
    return sorted(found, key=lambda pair: (pair[0].distribution, pair[0].name))


def home_of(file: str) -> str | None:
    """Distribution and version of the plugin whose package a source file lies in; None where it lies in none."""
    for point in entry_points(group=PROJECT):
        found = find_spec(point.module.partition(".")[0])
        if found is None or point.dist is None:
            continue
        places = found.submodule_search_locations or [found.origin or ""]
        if any(file == place or file.startswith(place + os.sep) for place in places):
            return f"{point.dist.name} {point.dist.version}"
    return None


def _pairs(kind: str, returned: Any) -> list[tuple[str, Any]]:
    """(name, value) of everything a hook returned.

    Raises:
        TypeError: It is not what the hook's documentation asks for.
    """
    if spec := SPECS.get(kind):
        values = list(returned)
        for value in values:
            if not isinstance(value, spec):
                raise TypeError(f"expected {spec.__name__}, got {type(value).__name__}")
        return [(value.name, value) for value in values]
    if not isinstance(returned, Mapping):
        raise TypeError(f"expected a mapping of names, got {type(returned).__name__}")
    for name, value in returned.items():
        if not isinstance(name, str) or value is None:
            raise TypeError(f"expected a name and an object or its import reference, got {name!r}: {value!r}")
    return list(returned.items())


@cache
def load_plugins() -> Plugins:
    """Every installed plugin, loaded once in a process.

    `FER_DISABLE_PLUGINS=a,b` leaves out entry points or distributions, `FER_STRICT=1` raises what they raise.
    """
    disable = filter(None, (name.strip() for name in os.environ.get("FER_DISABLE_PLUGINS", "").split(",")))
    return Plugins(disable, strict=os.environ.get("FER_STRICT") == "1")
