"""Finding and loading plugins, each inside its own boundary.

pluggy's own loader stops everything at the first bad plugin. Here each entry point is loaded, registered and
checked on its own, and each hook implementation is called on its own; each error becomes a `Failure`, one
warning, and everything else works on. What a plugin prints meanwhile is reported, too.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from fer_core import builtins
from fer_core.boundary import Failure, describe, output_caught, shown
from fer_core.declarations import check_declared, declared
from fer_core.discovery import find_plugins
from fer_core.errors import FerError, nearest
from fer_core.fields import unknown_fields
from fer_core.hookspecs import HOOK_API, PROJECT, device, loss, registry, trainer
from fer_core.makers import CORE
from fer_core.published import WeightsSpec
from fer_core.types import DatasetSpec, ModelSpec, bare

if TYPE_CHECKING:
    from fer_core.provenance import Component

logger = logging.getLogger(__name__)
KINDS = (
    "models",
    "weights",
    "datasets",
    "losses",
    "optimizers",
    "schedulers",
    "samplers",
    "splits",
    "metrics",
    "transforms",
    "callbacks",
    "devices",
    "trainers",
    "detectors",
    "templates",
    "experiments",
    "executors",
    "commands",
)
"""What plugins can provide; the hook of each kind is `fer_KIND`."""

_LEGAL = re.compile(r"\w[\w.+-]*")
"""Valid names: they become part of file names, and precede `@DISTRIBUTION`."""


def normalize(name: str) -> str:
    """`name` as it is compared: case is ignored, and `-` equals `_`."""
    return name.casefold().replace("-", "").replace("_", "")


def singular(kind: str) -> str:
    """`models` -> `model`."""
    return {"losses": "loss", "weights": "weights"}.get(kind, kind.removesuffix("s"))


def requirements(distribution: str) -> list[str]:
    """Names of the distributions that one requires on every platform, its extras left out."""
    return [re.split(r"[^\w.-]", line)[0] for line in requires(distribution) or () if ";" not in line]


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
class Plugin:
    """A plugin: its entry point's name, where it comes from, and the names it brings, kind by kind."""

    name: str
    distribution: str
    version: str
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What tells it from all others."""
        return f"{self.distribution}:{self.name}"


@dataclass(frozen=True)
class Entry:
    """One claim to a name: a spec or `Ref`, and the plugin that makes the claim."""

    name: str
    value: Any
    plugin: Plugin

    @property
    def names(self) -> tuple[str, ...]:
        """The name and its aliases."""
        aliased = isinstance(self.value, ModelSpec | DatasetSpec | WeightsSpec)
        return (self.name, *self.value.aliases) if aliased else (self.name,)

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
        seconds: How long each plugin took to be imported and asked, by `Plugin.key`.
        entries: kind -> name -> every claim to that name.
    """

    def __init__(self, disable: Iterable[str] = (), *, strict: bool = False) -> None:
        self.loaded: list[Plugin] = []
        self.disabled: list[Plugin] = []
        self.failures: list[Failure] = []
        self.seconds: dict[str, float] = defaultdict(float)
        self.entries: dict[str, dict[str, list[Entry]]] = {kind: {} for kind in KINDS}
        self._strict = strict
        self._newer: dict[str, tuple[Plugin, int, list[str]]] = {}
        self._homes: dict[tuple[str, str], str] = {}
        self._registered: dict[str, Plugin] = {}
        self._manager = pluggy.PluginManager(PROJECT)
        for module in (registry, trainer, loss, device):
            self._manager.add_hookspecs(module)
        self._add(Plugin("core", CORE, version(CORE)), lambda: builtins)
        off = {normalize(name) for name in disable}
        for found in find_plugins():
            plugin = Plugin(found.name, found.distribution, found.version)
            names = (plugin.name, plugin.distribution, f"{plugin.name}@{plugin.distribution}")
            if not off.isdisjoint(map(normalize, names)):
                self.disabled.append(plugin)
            elif found.point is None:
                self._report(plugin, "load", found.error)
            else:
                self._add(plugin, found.point.load)
        for kind in KINDS:
            self._collect(kind)
        for newer in self._newer.values():
            self._report_newer(*newer)

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
        with self._timed(plugin), self._boundary(plugin, "load") as unknown:
            module = load()
            required = _required_api(module)
            if required > HOOK_API:
                self._newer[plugin.key] = (plugin, required, [])
            self._check_fields(plugin, unknown)
            with self._boundary(plugin, "register"):
                self._register(plugin, module)

    def _register(self, plugin: Plugin, module: Any) -> None:
        try:
            self._manager.register(module, plugin.key)
            callers = self._manager.get_hookcallers(module) or ()
            unknown = [caller.name for caller in callers if not caller.has_spec()]
            if plugin.key in self._newer:
                self._newer[plugin.key][2].extend(f"the hook {name}" for name in unknown)
            elif unknown:
                known = [name for name in vars(self._manager.hook) if name not in unknown]
                raise TypeError(f"unknown hook {unknown[0]!r}: {nearest(unknown[0], known)}")
            elif not callers:
                raise TypeError("it implements no hook: mark its functions with fer_core.plugin.hookimpl")
        except BaseException:
            if self._manager.get_name(module) == plugin.key:  # wholly or, by an older pluggy, half registered
                self._manager.unregister(module)
            raise
        self._registered[plugin.key] = plugin
        self.loaded.append(plugin)

    def _collect(self, kind: str) -> None:
        hook, reserved = f"fer_{kind}", frozenset[str]()
        impls = getattr(self._manager.hook, hook).get_hookimpls()
        calls = [(self._registered[impl.plugin_name], impl.function) for impl in impls]
        calls.sort(key=lambda call: call[0].distribution != CORE)  # first, since its names are reserved
        for plugin, function in calls:
            with self._timed(plugin), self._boundary(plugin, f"hook {hook}") as unknown:
                entries = [Entry(name, value, plugin) for name, value in declared(kind, function())]
                self._check_fields(plugin, unknown)
                kept = [entry for entry in entries if self._accepts(entry, kind, reserved)]
                for entry in kept:
                    self.entries[kind].setdefault(entry.name, []).append(entry)
                plugin.names[kind] = tuple(entry.name for entry in kept)
                if plugin.distribution == CORE:
                    reserved = frozenset(key for entry in kept for key in entry.keys)

    def _accepts(self, entry: Entry, kind: str, reserved: frozenset[str]) -> bool:
        """Whether an entry may have its names; where it may not, the plugin's other names are not affected."""
        with self._boundary(entry.plugin, f"fer_{kind}, name {shown(entry.name)}"):
            check_declared(kind, entry.name, entry.value)
            if not entry.keys.isdisjoint(reserved):
                raise FerError(f"{CORE} has that name, and keeps it: choose another name")
            for name in entry.names:
                if not _LEGAL.fullmatch(name):
                    raise FerError(f"{name!r} cannot be a name: use letters, digits, '_', '-', '+' and '.'")
            return True
        return False

    @contextmanager
    def _boundary(self, plugin: Plugin, stage: str, *passing: type[Exception]) -> Iterator[list[tuple[type, str]]]:
        """Turn what `plugin` raises, even an attempt to exit, into a failure; exceptions in `passing` pass.

        Yields:
            Fields that specs do not have, as (class, name): they are left out of specs that are made within.
        """
        try:
            with output_caught() as output, unknown_fields() as unknown:
                yield unknown
        except BaseException as raised:
            if self._strict or isinstance(raised, (KeyboardInterrupt, *passing)):
                raise
            self._report(plugin, stage, describe(raised))
        if output.text:
            said = shown(" ".join(output.text.split()))
            error = f"it printed {said} on standard output, which is for results: log it instead"
            self._report(plugin, stage, error, works=True)

    @contextmanager
    def _timed(self, plugin: Plugin) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[plugin.key] += time.perf_counter() - began

    def _check_fields(self, plugin: Plugin, unknown: list[tuple[type, str]]) -> None:
        """Raises TypeError for fields that specs do not have, unless the plugin is written for a newer core."""
        for spec, name in unknown:
            if plugin.key not in self._newer:
                known = [field.name for field in fields(spec)]
                raise TypeError(f"{spec.__name__} has no field {name!r}: {nearest(name, known)}")
            self._newer[plugin.key][2].append(f"the field {spec.__name__}.{name}")

    def _report(self, plugin: Plugin, stage: str, error: str, *, works: bool = False) -> None:
        failure = Failure(plugin.name, plugin.distribution, plugin.version, stage, error, works)
        self.failures.append(failure)
        logger.warning(f"{failure}; run `fer-run doctor`")

    def _report_newer(self, plugin: Plugin, required: int, ignored: list[str]) -> None:
        without = f", so it is used without {', '.join(dict.fromkeys(ignored))}" if ignored else ""
        error = f"it needs version {required} of the hooks, and {CORE} has {HOOK_API}{without}: upgrade {CORE}"
        self._report(plugin, "register", error, works=True)


def _required_api(module: Any) -> int:
    """Version of the hooks that a plugin says it needs. Raises TypeError where it is not one."""
    required = getattr(module, "requires_hook_api", 1)
    if not isinstance(required, int) or required < 1:
        raise TypeError(f"requires_hook_api is {shown(required)}, expected a whole number such as {HOOK_API}")
    return required


def home_of(file: str) -> str | None:
    """Distribution and version of the plugin whose package a source file lies in; None where it lies in none."""
    for plugin in find_plugins():
        try:
            found = find_spec(plugin.point.module.partition(".")[0]) if plugin.point else None
        except (ImportError, ValueError):  # a module without a spec
            continue
        if found is None:
            continue
        places = found.submodule_search_locations or [found.origin or ""]
        if any(file == place or file.startswith(place + os.sep) for place in places):
            return f"{plugin.distribution} {plugin.version}"
    return None


@cache
def load_plugins() -> Plugins:
    """Every installed plugin, loaded once in a process.

    `FER_DISABLE_PLUGINS=a,b` leaves out entry points or distributions, `FER_STRICT=1` raises what they raise.
    """
    disable = filter(None, (name.strip() for name in os.environ.get("FER_DISABLE_PLUGINS", "").split(",")))
    return Plugins(disable, strict=os.environ.get("FER_STRICT") == "1")
