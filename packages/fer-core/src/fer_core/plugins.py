"""Finding and loading plugins, each inside its own boundary.

pluggy's own loader stops everything at the first bad plugin. Here each entry point is loaded, registered and
checked on its own, and each hook implementation is called on its own; each error becomes a `Failure`, one
warning, and everything else works on.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, entry_points, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from fer_core import builtins
from fer_core.errors import FerError
from fer_core.hookspecs import PROJECT, device, loss, registry, trainer
from fer_core.types import CommandSpec, DatasetSpec, ExperimentSpec, ModelSpec, bare

if TYPE_CHECKING:
    from fer_core.provenance import Component

logger = logging.getLogger(__name__)
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
    "experiments",
    "commands",
)
"""What plugins can provide; the hook of each kind is `fer_KIND`."""

SPECS: Mapping[str, type] = {
    "models": ModelSpec,
    "datasets": DatasetSpec,
    "experiments": ExperimentSpec,
    "commands": CommandSpec,
}
"""Kinds whose hook returns specs; the hooks of all others return name -> `Ref`."""


CORE = "fer-core"
_LEGAL = re.compile(r"\w[\w.+-]*")
"""Valid names: they become part of file names, and precede `@DISTRIBUTION`."""


def normalize(name: str) -> str:
    """`name` as it is compared: case is ignored, and `-` equals `_`."""
    return name.casefold().replace("-", "").replace("_", "")


def singular(kind: str) -> str:
    """`models` -> `model`."""
    return "loss" if kind == "losses" else kind.removesuffix("s")


def describe(error: BaseException) -> str:
    """An exception as one line."""
    return str(error) if isinstance(error, FerError) else " ".join(f"{type(error).__name__}: {error}".split())


def installed_versions(names: Iterable[str]) -> dict[str, str]:
    """Version of each distribution that is installed; models may need some that the core does not."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True)
class Failure:
    """One failure of a plugin; `str()` is its report in one line."""

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
    def names(self) -> tuple[str, ...]:
        """The name and its aliases."""
        return (self.name, *getattr(self.value, "aliases", ()))

    @property
    def keys(self) -> frozenset[str]:
        """The name and its aliases, as they are compared."""
        return frozenset(map(normalize, self.names))

    @property
    def qualified(self) -> str:
        """`NAME@DISTRIBUTION`, which means this entry whatever else is installed."""
        return f"{self.name}@{self.plugin.distribution}"

    def answers(self, name: str) -> bool:
        """Whether `name`, qualified or not, can mean this entry."""
        own, at, distribution = name.partition("@")
        return normalize(own) in self.keys and (not at or normalize(distribution) == self.home)

    @property
    def home(self) -> str:
        """The distribution, as it is compared."""
        return normalize(self.plugin.distribution)


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
        self._homes: dict[tuple[str, str], str] = {}
        self._registered: dict[str, Plugin] = {}
        self._manager = pluggy.PluginManager(PROJECT)
        for module in (registry, trainer, loss, device):
            self._manager.add_hookspecs(module)
        self._add(Plugin("core", CORE, version(CORE)), lambda: builtins)
        off = {normalize(name) for name in disable}
        for plugin, load in _installed():
            names = (plugin.name, plugin.distribution, f"{plugin.name}@{plugin.distribution}")
            if not off.isdisjoint(map(normalize, names)):
                self.disabled.append(plugin)
            else:
                self._add(plugin, load)
        for kind in KINDS:
            self._collect(kind)

    def claims(self, kind: str, name: str) -> list[Entry]:
        """Every entry that `name`, qualified or not, can mean."""
        found = [entry for claims in self.entries[kind].values() for entry in claims if entry.answers(name)]
        own = [entry for entry in found if entry.home == self._homes.get((kind, normalize(name)))]
        return own if len(found) > 1 and own else found

    @contextmanager
    def as_recorded(self, components: Iterable[Component]) -> Iterator[None]:
        """Let names that several distributions claim mean those components that a record names."""
        before = self._homes
        self._homes = {(of.kind, normalize(of.name)): normalize(of.distribution) for of in components}
        try:
            yield
        finally:
            self._homes = before

    def canonical(self, kind: str, name: str, distribution: str = "") -> str:
        """The shortest name for what `name` means, `NAME@DISTRIBUTION` only where several claim the name.

        Args:
            kind: Of the component.
            name: As it was written.
            distribution: Whose component `name` means where several claim it; empty: nobody's.

        Returns:
            `name` itself where it means nothing, or several things.
        """
        claims = self.claims(kind, name)
        if len(claims) > 1:
            claims = [entry for entry in claims if entry.home == normalize(distribution)]
        if len(claims) != 1:
            return name
        (entry,) = claims
        return entry.name if len(self.claims(kind, entry.name)) == 1 else entry.qualified

    def means(self, kind: str, name: str, spec: ModelSpec | DatasetSpec) -> bool:
        """Whether `name` is one of those of a spec, which need not be registered."""
        own, at, distribution = name.partition("@")
        homes = {entry.home for entry in self.claims(kind, spec.name)}
        keys = set(map(normalize, (bare(spec.name), *spec.aliases)))
        return normalize(own) in keys and (not at or normalize(distribution) in homes)

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
        """Local copy of `uri` from the first plugin that knows its scheme; None if no plugin does.

        Raises:
            FerError: The plugin that knows the scheme says what the user can correct.
        """
        given = {"uri": uri, "cache": cache}
        for impl in reversed(self._manager.hook.fer_fetch.get_hookimpls()):
            with self._boundary(self._registered[impl.plugin_name], "hook fer_fetch", FerError):
                path: Any = impl.function(*(given[name] for name in impl.argnames))
                if path is not None:
                    logger.debug(f"fetched  {uri}: {path}")
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
        hook, reserved = f"fer_{kind}", frozenset[str]()
        impls = getattr(self._manager.hook, hook).get_hookimpls()
        calls = [(self._registered[impl.plugin_name], impl.function) for impl in impls]
        calls.sort(key=lambda call: call[0].distribution != CORE)  # first, since its names are reserved
        for plugin, function in calls:
            with self._boundary(plugin, f"hook {hook}"):
                entries = [Entry(name, value, plugin) for name, value in _pairs(kind, function())]
                kept = [entry for entry in entries if self._accepts(entry, hook, reserved)]
                for entry in kept:
                    self.entries[kind].setdefault(entry.name, []).append(entry)
                plugin.names[kind] = tuple(entry.name for entry in kept)
                if plugin.distribution == CORE:
                    reserved = frozenset(key for entry in kept for key in entry.keys)

    def _accepts(self, entry: Entry, hook: str, reserved: frozenset[str]) -> bool:
        """Whether an entry may have its names; where it may not, the plugin's other names are not affected."""
        stage = f"{hook}, name {entry.name!r}"
        with self._boundary(entry.plugin, stage):
            if not entry.keys.isdisjoint(reserved):
                raise FerError(f"{CORE} has that name, and keeps it: choose another name")
            for name in entry.names:
                if not _LEGAL.fullmatch(name):
                    raise FerError(f"{name!r} cannot be a name: use letters, digits, '_', '-', '+' and '.'")
            return True
        return False

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
            logger.warning(f"{failure}; run `fer-run doctor`")


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
