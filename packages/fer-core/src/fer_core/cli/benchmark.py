"""`fer-run benchmark`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fer_core.cli.options import check_complete, device_option, json_option, precision_option
from fer_core.errors import FerError

if TYPE_CHECKING:
    from fer_core.benchmarking import Bench, Ceiling
    from fer_core.benchmarking.report import Hardware

logger = logging.getLogger(__name__)
WIDTH = 100
"""Columns of the table, whatever the terminal has: figures that are cut off are worth nothing."""


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@device_option
@precision_option
@click.option("--compile", "compiled", is_flag=True, help="Compile the models with torch.compile.")
@click.option(
    "--batch", type=click.IntRange(2), default=None, help="Images of a call; else 8 on a CPU, 64 elsewhere."
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
    """Measure how fast MODELs are evaluated and trained here, with each one's own loss and optimizer.

    Faces are noise, so no data are needed. "Of peak" is a fraction of the highest rate that this device reached in
    the same run: on a product of large matrices, on a convolution of ResNet-50, or in a model.
    """
    from fer_core import registry

    for name in models:
        registry.find("models", name)
    if out is not None:
        _make(out)
    from fer_core.benchmarking import measure_ceiling, measure_model
    from fer_core.benchmarking.report import as_json as to_json
    from fer_core.benchmarking.report import describe_hardware, draw
    from fer_core.engine import Engine

    engine = Engine.start(device, precision, compile=compiled)
    size = batch or (8 if engine.device.type == "cpu" else 64)
    ceiling = measure_ceiling(engine, seconds)
    benches: list[Bench] = []
    left_out: list[str] = []
    for name in models:
        try:
            benches.append(measure_model(name, engine, batch=size, seconds=seconds))
        except FerError as error:
            left_out.append(name)
            logger.warning(f"{name}: {error}")
    hardware = describe_hardware(engine)
    text = to_json(benches, ceiling, hardware)
    if as_json:
        click.echo(text)
    elif benches:
        _show(benches, ceiling, hardware)
    if out is not None and benches:
        from fer_core.files import write_text

        write_text(out / "benchmark.json", text + "\n")
        draw(out / "benchmark.png", benches, hardware)
        logger.info(f"written  {out}: benchmark.json, benchmark.png")
    check_complete(left_out)


def _show(benches: list[Bench], ceiling: Ceiling, hardware: Hardware) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from fer_core.benchmarking.report import HEADINGS, IDLE, peak_rate, share_of_processor, table_rows
    from fer_core.cli.console import TableConsole

    compiled = "compiled, " if hardware.compile else ""
    click.echo(
        f"device   {hardware.device} ({hardware.hardware}), {hardware.precision}, "
        f"{hardware.threads} threads, {compiled}batch {benches[0].batch}"
    )
    peak = peak_rate(benches, ceiling)
    click.echo(
        f"ceiling  {ceiling.matmul / 1e9:,.0f} GFLOP/s on a matrix product, "
        f"{ceiling.convolution / 1e9:,.0f} on a convolution; peak of this run {peak / 1e9:,.0f}"
    )
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for number, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="left" if number < 2 else "right", no_wrap=True)
    for bench in benches:
        for row in table_rows(bench, peak):
            table.add_row(*row)
        table.add_section()
    TableConsole(width=WIDTH).print(table)
    share = share_of_processor(benches, hardware)
    if share is not None and share < IDLE:
        logger.warning(f"other programs ran (down to {share:.0%} of the CPU was left): figures are too low")
    for bench in benches:
        click.echo(
            f"{bench.model}: {bench.parameters / 1e6:.1f} M parameters, {bench.macs / 1e9:.2f} G multiplications "
            f"with addition an image at {bench.input_size} pixels; loss {bench.loss}, optimizer {bench.optimizer}"
        )


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FerError(f"cannot make the folder {folder} ({error.strerror}): name another with --out") from error
