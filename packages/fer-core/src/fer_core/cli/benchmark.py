"""`fer-run benchmark`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fer_core.cli.options import check_complete, device_option, json_option, precision_option, print_json_text

if TYPE_CHECKING:
    from fer_core.workflows.benchmark import Measured

WIDTH = 100
"""Width of the table, whatever that of the terminal: truncated figures are useless."""


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@device_option
@precision_option
@click.option("--compile", "compiled", is_flag=True, help="Compile the models with torch.compile.")
@click.option(
    "--batch", type=click.IntRange(2), default=None, help="Batch size; default: 8 on a CPU, 64 on other devices."
)
@click.option(
    "--seconds",
    type=click.FloatRange(0),
    default=2.0,
    show_default=True,
    help="Time for each measurement.",
)
@json_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write benchmark.json and benchmark.png into this folder.",
)
def benchmark(
    models: tuple[str, ...],
    device: str,
    precision: str,
    compiled: bool,
    batch: int | None,
    seconds: float,
    as_json: bool,
    out: Path | None,
) -> None:
    """Measure how fast MODELs evaluate and train on this machine, each with its own loss and optimizer.

    Images are noise, so no data is needed. "Of peak" is a fraction of the highest rate that this device reached in
    the same run: on a product of large matrices, on a convolution of ResNet-50, or in a model.
    """
    from fer_core.workflows.benchmark import measure

    found = measure(models, device, precision, compiled=compiled, batch=batch, seconds=seconds, out=out)
    if as_json:
        print_json_text(found.json)
    elif found.benches:
        _show(found)
    check_complete(found.left_out)


def _show(found: Measured) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from fer_core.cli.console import TableConsole

    for line in found.introduction():
        click.echo(line)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for number, heading in enumerate(found.headings):
        table.add_column(heading, justify="left" if number < 2 else "right", no_wrap=True)
    for rows in found.rows():
        for row in rows:
            table.add_row(*row)
        table.add_section()
    TableConsole(width=WIDTH).print(table)
    for line in found.remarks():
        click.echo(line)
