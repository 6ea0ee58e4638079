"""`fer-run list`: what is installed."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import click

from fer_core import registry
from fer_core.cli.options import json_option, print_json
from fer_core.plugins import Entry, load_plugins
from fer_core.published import WeightsSpec
from fer_core.types import CommandSpec, DatasetSpec, ExperimentSpec, MetricSpec, ModelSpec


@dataclass(frozen=True)
class Row:
    """One name: where it comes from, and which other distributions have it too."""

    name: str
    qualified: str
    clashes_with: list[str]
    summary: str
    aliases: list[str]
    plugin: str
    distribution: str
    version: str


@click.command("list")
@click.argument("kind", required=False, metavar="[KIND]")
@json_option
def list_(kind: str | None, as_json: bool) -> None:
    """List what is installed: every kind, or one.

    KIND is models, weights, datasets, losses, optimizers, schedulers, samplers, splits, metrics, transforms,
    callbacks, devices, trainers, detectors, templates, experiments, executors or commands.
    """
    kinds = [registry.check_kind(kind)] if kind else registry.KINDS
    found = {name: [_row(name, entry) for entry in _entries(name)] for name in kinds}
    if as_json:
        print_json({name: [asdict(row) for row in rows] for name, rows in found.items()})
        return
    for number, (name, rows) in enumerate(found.items()):
        if kind is None:
            click.echo(("\n" if number else "") + name)
        _print(name, rows, indent="" if kind else "  ")


def _entries(kind: str) -> list[Entry]:
    return [entry for claims in load_plugins().entries[kind].values() for entry in claims]


def _row(kind: str, entry: Entry) -> Row:
    claims = [other for name in entry.names for other in load_plugins().claims(kind, name)]
    return Row(
        name=entry.name,
        qualified=entry.qualified,
        clashes_with=sorted({other.plugin.distribution for other in claims if other is not entry}),
        summary=_summary(entry.value),
        aliases=list(entry.names[1:]),
        plugin=entry.plugin.name,
        distribution=entry.plugin.distribution,
        version=entry.plugin.version,
    )


def _summary(value: object) -> str:
    if isinstance(value, ModelSpec | WeightsSpec | DatasetSpec | ExperimentSpec | MetricSpec):
        return value.summary
    return value.help if isinstance(value, CommandSpec) else ""


def _print(kind: str, rows: list[Row], indent: str) -> None:
    names = [row.qualified if row.clashes_with else row.name for row in rows]
    name_width = max(map(len, names), default=0)
    home_width = max((len(row.distribution) for row in rows), default=0)
    for name, row in zip(names, rows, strict=True):
        clash = f"(clash: {', '.join(row.clashes_with)} has this name too)" if row.clashes_with else ""
        line = f"{indent}{name:<{name_width}}  {row.distribution:<{home_width}}  {row.summary}  {clash}"
        click.echo(line.rstrip())
    hint = "" if any(row.distribution != "fer-core" for row in rows) else _hint(kind)
    if not rows:
        click.echo(f"{indent}none installed{f'; {hint}' if hint else ''}")
    elif hint:
        click.echo(f"{indent}{hint}")


def _hint(kind: str) -> str:
    """Which packages bring components of a kind, for where only the core's are installed."""
    homes: dict[str, list[str]] = {}
    for name, home in registry.known().get(kind, {}).items():
        homes.setdefault(home, []).append(name)
    if not homes:
        return ""
    lines = [f"{home} ({', '.join(names)})" for home, names in homes.items()]
    return f"these packages bring some: {', '.join(lines)}"
