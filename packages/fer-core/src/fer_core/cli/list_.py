"""`fer-run list`: what is installed."""

from __future__ import annotations

from typing import Any

import click

from fer_core import registry
from fer_core.cli.options import json_option, print_json
from fer_core.plugins import Entry, load_plugins


@click.command("list")
@click.argument("kind", required=False, metavar="[KIND]")
@json_option
def list_(kind: str | None, as_json: bool) -> None:
    """List what is installed: every kind, or one.

    KIND is models, datasets, losses, optimizers, schedulers, samplers, transforms, callbacks, devices, trainers,
    detectors, templates or commands.
    """
    kinds = [registry.check_kind(kind)] if kind else registry.KINDS
    found = {name: [_row(entry) for entry in _entries(name)] for name in kinds}
    if as_json:
        print_json(found)
        return
    for number, (name, rows) in enumerate(found.items()):
        if kind is None:
            click.echo(("\n" if number else "") + name)
        _print(name, rows, indent="" if kind else "  ")


def _entries(kind: str) -> list[Entry]:
    return [entry for claims in load_plugins().entries[kind].values() for entry in claims]


def _row(entry: Entry) -> dict[str, Any]:
    value = entry.value
    return {
        "name": entry.name,
        "summary": getattr(value, "summary", None) or getattr(value, "help", ""),
        "aliases": list(getattr(value, "aliases", ())),
        "plugin": entry.plugin.name,
        "distribution": entry.plugin.distribution,
        "version": entry.plugin.version,
    }


def _print(kind: str, rows: list[dict[str, Any]], indent: str) -> None:
    name_width = max((len(row["name"]) for row in rows), default=0)
    home_width = max((len(row["distribution"]) for row in rows), default=0)
    for row in rows:
        line = f"{indent}{row['name']:<{name_width}}  {row['distribution']:<{home_width}}  {row['summary']}"
        click.echo(line.rstrip())
    if not rows:
        click.echo(f"{indent}none installed{_hint(kind)}")


def _hint(kind: str) -> str:
    homes: dict[str, list[str]] = {}
    for name, home in registry.known().get(kind, {}).items():
        homes.setdefault(home, []).append(name)
    if not homes:
        return ""
    lines = [f"{home} ({', '.join(names)})" for home, names in homes.items()]
    return f"; these packages bring some: {', '.join(lines)}"
