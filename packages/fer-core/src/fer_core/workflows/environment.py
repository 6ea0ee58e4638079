"""The installation: versions, devices, folders and plugins, and what is wrong with them."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass

from fer_core import registry
from fer_core.boundary import Failure, describe
from fer_core.cache import cache_root
from fer_core.hookspecs import HOOK_API
from fer_core.makers import CORE
from fer_core.plugins import Plugin, installed_versions, load_plugins, requirements

__all__ = ["Clash", "Installation", "cache_root", "examine"]


@dataclass(frozen=True)
class Clash:
    """A name that several distributions claim."""

    kind: str
    name: str
    claims: tuple[Plugin, ...]


@dataclass(frozen=True)
class Installation:
    """What is installed here.

    Attributes:
        python: Version.
        platform: Operating system and machine.
        hook_api: Version of the hooks.
        cache: Folder of caches.
        packages: Versions of the core and of what it requires; None where a package is missing.
        devices: `ready`, or why a device cannot be used.
        plugins: Those that were loaded.
        seconds: How long each plugin took to be imported and asked for its names, by `DISTRIBUTION:NAME`.
        disabled: Those that are switched off.
        failures: What failed.
        clashes: Names that need their distribution.
        broken: Components that cannot be used and dependencies that are missing, where this was asked for.
    """

    python: str
    platform: str
    hook_api: int
    cache: str
    packages: Mapping[str, str | None]
    devices: Mapping[str, str]
    plugins: tuple[Plugin, ...]
    seconds: Mapping[str, float]
    disabled: tuple[Plugin, ...]
    failures: tuple[Failure, ...]
    clashes: tuple[Clash, ...]
    broken: tuple[str, ...] = ()

    def problems(self) -> list[str]:
        """One line per problem."""
        entries = load_plugins().clashes()
        return [
            *(f"{name} is not installed" for name, found in self.packages.items() if found is None),
            *map(str, self.failures),
            *self.broken,
            *(
                f"{registry.singular(kind)} {name!r} is claimed by "
                + " and by ".join(f"{entry.plugin.distribution} {entry.plugin.version}" for entry in claims)
                + f": write {' or '.join(entry.qualified for entry in claims)}"
                for kind, name, claims in entries
            ),
        ]


def examine(*, deep: bool = False) -> Installation:
    """Examine the installation; whatever is broken is reported, not raised.

    Args:
        deep: Also import every component, resolve every recipe and look for every dependency.
    """
    plugins = load_plugins()
    return Installation(
        python=platform.python_version(),
        platform=platform.platform(),
        hook_api=HOOK_API,
        cache=str(cache_root()),
        packages=_packages(),
        devices={name: _device(name) for name in registry.names("devices")},
        plugins=tuple(plugins.loaded),
        seconds={key: round(seconds, 4) for key, seconds in plugins.seconds.items()},
        disabled=tuple(plugins.disabled),
        failures=tuple(plugins.failures),
        clashes=tuple(
            Clash(kind, name, tuple(entry.plugin for entry in claims)) for kind, name, claims in plugins.clashes()
        ),
        broken=_broken() if deep else (),
    )


def _broken() -> tuple[str, ...]:
    from fer_core.workflows.check_plugins import find_broken  # it imports half of the core

    return tuple(find_broken())


def _packages() -> dict[str, str | None]:
    """Versions of the core and of what it requires."""
    names = (CORE, *requirements(CORE))
    return dict.fromkeys(names) | installed_versions(names)


def _device(name: str) -> str:
    try:
        from fer_core.engine.choose import find_device, why_missing

        return why_missing(find_device(name)) or "ready"
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a broken torch or plugin is a finding, not the end of the examination
        return describe(error)
