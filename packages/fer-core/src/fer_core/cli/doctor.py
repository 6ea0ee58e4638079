"""`fer-run doctor`: what this installation consists of, and what is wrong with it."""

from __future__ import annotations

import dataclasses
import platform
import re
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

import click

from fer_core import registry
from fer_core.cache import cache_root
from fer_core.cli.options import json_option, print_json
from fer_core.errors import ExitStatus
from fer_core.hookspecs import HOOK_API
from fer_core.plugins import describe, load_plugins


@click.command()
@json_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Examine the installation: versions, devices, folders and plugins. Exit status 1 where something is wrong."""
    plugins = load_plugins()
    packages = _packages()
    report: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "hook_api": HOOK_API,
        "cache": str(cache_root()),
        "packages": packages,
        "devices": {name: _device(name) for name in registry.names("devices")},
        "plugins": [dataclasses.asdict(plugin) for plugin in plugins.loaded],
        "disabled": [dataclasses.asdict(plugin) for plugin in plugins.disabled],
        "failures": [dataclasses.asdict(failure) for failure in plugins.failures],
        "clashes": [
            {"kind": kind, "name": name, "claims": [dataclasses.asdict(entry.plugin) for entry in claims]}
            for kind, name, claims in plugins.clashes()
        ],
    }
    problems = [f"{name} is not installed" for name, found in packages.items() if found is None]
    problems += map(str, plugins.failures)
    problems += [
        f"{registry.singular(kind)} {name!r} is claimed by "
        + " and by ".join(f"{entry.plugin.distribution} {entry.plugin.version}" for entry in claims)
        + f": write {' or '.join(entry.qualified for entry in claims)}"
        for kind, name, claims in plugins.clashes()
    ]
    print_json(report) if as_json else click.echo(_text(report, problems))
    ctx.exit(ExitStatus.INCOMPLETE if problems else ExitStatus.DONE)


def _packages() -> dict[str, str | None]:
    """Versions of the core and of what it requires."""
    names = [re.split(r"[^\w.-]", line)[0] for line in requires("fer-core") or () if "extra ==" not in line]
    return {name: _version(name) for name in ("fer-core", *names)}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _device(name: str) -> str:
    from fer_core.components import find_value

    try:
        return find_value("devices", name).missing() or "ready"
    except Exception as error:  # a broken driver or torch is a finding, not the end of the examination
        return describe(error)


def _text(report: dict[str, Any], problems: list[str]) -> str:
    lines = [
        f"python    {report['python']}, {report['platform']}",
        f"hook api  {report['hook_api']}",
        f"cache     {report['cache']}",
        "packages  " + ", ".join(f"{name} {found or 'missing'}" for name, found in report["packages"].items()),
        "devices",
        *(f"  {name}: {state}" for name, state in report["devices"].items()),
        "plugins",
    ]
    for plugin in report["plugins"]:
        lines.append(f"  {plugin['name']} ({plugin['distribution']} {plugin['version']})")
        lines += [f"    {kind}: {', '.join(names)}" for kind, names in plugin["names"].items() if names]
    for plugin in report["disabled"]:
        lines.append(f"  {plugin['name']} ({plugin['distribution']} {plugin['version']}): switched off")
    lines += ["problems", *(f"  {problem}" for problem in problems)] if problems else ["no problems"]
    return "\n".join(lines)
