"""`fer-run doctor`: what this installation consists of, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from fer_core.cli.options import json_option, print_json
from fer_core.errors import ExitStatus

if TYPE_CHECKING:
    from fer_core.workflows.environment import Installation

SLOW = 1.0
"""Seconds to load a plugin, which every command waits for."""


@click.command()
@click.option("--deep", is_flag=True, help="Import every component, resolve every recipe, look for dependencies.")
@json_option
@click.pass_context
def doctor(ctx: click.Context, deep: bool, as_json: bool) -> None:
    """Check the installation: versions, devices, folders and plugins. Exit status 1 if there is a problem."""
    from fer_core.workflows.environment import examine

    found = examine(deep=deep)
    problems = found.problems()
    print_json(asdict(found)) if as_json else click.echo(_text(found, problems))
    ctx.exit(ExitStatus.INCOMPLETE if problems else ExitStatus.DONE)


def _text(found: Installation, problems: Sequence[str]) -> str:
    lines = [
        f"python    {found.python}, {found.platform}",
        f"hook api  {found.hook_api}",
        f"cache     {found.cache}",
        "packages  " + ", ".join(f"{name} {version or 'missing'}" for name, version in found.packages.items()),
        "devices",
        *(f"  {name}: {state}" for name, state in found.devices.items()),
        "plugins",
    ]
    for plugin in found.plugins:
        seconds = found.seconds[plugin.key]
        slow = ", which is slow: import what is heavy where it is used" if seconds > SLOW else ""
        lines.append(f"  {plugin.name} ({plugin.distribution} {plugin.version}), loaded in {seconds:.2f} s{slow}")
        lines += [f"    {kind}: {', '.join(names)}" for kind, names in plugin.names.items() if names]
    for plugin in found.disabled:
        lines.append(f"  {plugin.name} ({plugin.distribution} {plugin.version}): switched off")
    lines += ["problems", *(f"  {problem}" for problem in problems)] if problems else ["no problems"]
    return "\n".join(lines)
