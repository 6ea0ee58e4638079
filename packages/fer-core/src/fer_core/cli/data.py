"""`fer-run data`: inspect and prepare datasets."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from fer_core.cli.options import (
    DETECTOR_OPTION,
    boxes_option,
    check_complete,
    component_options,
    config_option,
    data_option,
    dataset_options,
    detect_option,
    detector_override_option,
    device_option,
    json_option,
    override_option,
    print_json,
    print_json_text,
)
from fer_core.errors import ExitStatus, FerError, IncompleteError

if TYPE_CHECKING:
    from fer_core.workflows.inspect_data import Report

logger = logging.getLogger(__name__)
PACK_COLUMNS: dict[str, Literal["left", "right"]] = {
    "dataset": "left",
    "images": "right",
    "size": "right",
    "state": "left",
    "name": "left",
}
SHOWN = 20
"""Unreadable images that are named one by one; `--json` names all."""


@click.group()
def data() -> None:
    """Inspect and prepare datasets."""


@data.command()
@click.argument("dataset")
@data_option
@override_option
@json_option
@click.option("--near", is_flag=True, help="Find near-duplicate images, too.")
@click.option("--all-files", is_flag=True, help="Compare image files that no sample uses, too.")
@click.option(
    "--sheet",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Draw the flagged images into this PNG.",
)
@click.pass_context
def check(
    ctx: click.Context,
    dataset: str,
    data: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
    near: bool,
    all_files: bool,
    sheet: Path | None,
) -> None:
    """Count and read every image of DATASET, and report what is missing, damaged or repeated.

    Where counts differ or images cannot be read, the exit status is 1. Options of the dataset are given as
    `-o data.options.KEY=VALUE`.
    """
    options = dataset_options(overrides)
    from fer_core.workflows.inspect_data import inspect_dataset

    report = inspect_dataset(dataset, data, options, near=near, all_files=all_files, sheet=sheet)
    if as_json:
        print_json_text(report.to_json())
    else:
        _show(report)
    ctx.exit(ExitStatus.INCOMPLETE if report.incomplete else ExitStatus.DONE)


@data.command()
@click.argument("dataset")
@data_option
@override_option
def pack(dataset: str, data: Path | None, overrides: tuple[str, ...]) -> None:
    """Decode every image of DATASET once, as the first run would, so that runs start immediately.

    Options of the dataset are given as `-o data.options.KEY=VALUE`.
    """
    options = dataset_options(overrides)
    from fer_core.workflows.packs import gigabytes, pack_dataset

    packs = pack_dataset(dataset, data, options)
    for name, found in packs.items():
        if found is not None:
            click.echo(f"{name}: {len(found):,} images, {gigabytes(found.bytes)}, in {found.folder}")
    if left_out := [name for name, found in packs.items() if found is None]:
        raise IncompleteError(f"no pack was made for {', '.join(left_out)}: see the reasons above")


@data.command(name="list")
@json_option
def list_stored(as_json: bool) -> None:
    """List the packs in the cache."""
    from dataclasses import asdict

    from fer_core.workflows.packs import cache_root, gigabytes, list_packs

    packs = list_packs(cache_root())
    if as_json:
        print_json([{**asdict(stored), "folder": str(stored.folder)} for stored in packs])
        return
    if not packs:
        click.echo(f"No pack in {cache_root()}")
        return
    from rich.table import Table

    from fer_core.cli.console import TableConsole

    table = Table(title=f"Packs in {cache_root() / 'packs'}")
    for heading, side in PACK_COLUMNS.items():
        table.add_column(heading, justify=side, no_wrap=True, min_width=37 if heading == "name" else None)
    for stored in packs:
        size = gigabytes(stored.bytes)
        table.add_row(stored.dataset, f"{stored.images:,}", size, stored.state, stored.name)
    TableConsole(soft_wrap=True).print(table)


@data.command()
@click.argument("names", nargs=-1, metavar="[DATASET|NAME]...")
@click.option("--all", "everything", is_flag=True, help="Remove every pack.")
def remove(names: tuple[str, ...], everything: bool) -> None:
    """Delete packs from the cache, by dataset or by name. They are made again when they are needed."""
    from fer_core.workflows.packs import cache_root, choose_packs, gigabytes, list_packs, remove_pack

    if bool(names) == everything:
        raise FerError("give the packs to remove: names of datasets, names of packs, or --all alone")
    packs = list_packs(cache_root())
    left_out: list[str] = []
    for stored in packs if everything else choose_packs(packs, names):
        try:
            remove_pack(stored)
        except FerError as error:
            left_out.append(stored.name)
            logger.warning(str(error))
        else:
            click.echo(f"removed {stored.name} ({stored.dataset}, {gigabytes(stored.bytes)})")
    check_complete(left_out)


@data.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...", type=click.Path(path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="New folder."
)
@click.option("--template", metavar="NAME", help="Align five points to this template [default: arcface].")
@click.option("--margin", type=float, metavar="SHARE", help="Cut the box of the face, larger by this share.")
@click.option("--size", type=int, metavar="PIXELS", help="Side of the faces [default: 112 of a template].")
@click.option("--every-face", is_flag=True, help="Cut every face of an image, not its largest alone.")
@detect_option
@detector_override_option
@boxes_option
@device_option
def crop(
    sources: tuple[Path, ...],
    out: Path,
    template: str | None,
    margin: float | None,
    size: int | None,
    every_face: bool,
    detect: str,
    overrides: tuple[str, ...],
    boxes: Path | None,
    device: str,
) -> None:
    """Cut the faces out of photographs, into a folder that the dataset `folder` reads.

    Folders below each SOURCE, such as those of classes, are kept. DIR/faces.csv says where each face was and which
    images have none; DIR/alignment.json says how faces were cut, which weights trained on them then apply.

    \b
    fer-run data crop photos --out faces --template arcface --size 112
    fer-run train MODEL folder --data faces
    """  # noqa: D301  # click reads \b
    options = component_options(overrides, DETECTOR_OPTION)
    from fer_core.workflows.crop import crop_images, make_alignment

    alignment = make_alignment(template, margin, size)
    done = crop_images(
        sources,
        out,
        alignment,
        detect=detect,
        detector_options=options,
        boxes=boxes,
        every_face=every_face,
        device=device,
    )
    click.echo(f"{done.faces:,} faces in {out}, {alignment}; {done.without_face:,} images without a face")
    if done.failed:
        raise IncompleteError(f"{done.failed} images could not be read or cut (see the lines above)")


@data.command()
@click.argument("dataset")
@click.option("--model", required=True, metavar="MODEL", help="Model whose recipe is applied.")
@data_option
@config_option
@override_option
@click.option("--faces", type=click.IntRange(1, 32), default=8, show_default=True, help="Number of faces.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("preview.png"),
    show_default=True,
    help="PNG to write.",
)
def preview(
    dataset: str,
    model: str,
    data: Path | None,
    configs: tuple[Path, ...],
    overrides: tuple[str, ...],
    faces: int,
    out: Path,
) -> None:
    """Draw faces of DATASET as MODEL would see them: original, in evaluation and in early training epochs."""
    from fer_core.workflows.inspect_data import draw_preview

    draw_preview(dataset, model, data, configs, overrides, faces=faces, out=out)


def _show(report: Report) -> None:
    from rich.table import Table

    from fer_core.cli.console import TableConsole

    table = Table(title=f"{report.dataset}: samples (expected)")
    table.add_column("class")
    for split in report.counts:
        table.add_column(split or "no split", justify="right")
    classes = list(next(iter(report.counts.values())))
    for name in classes:
        table.add_row(name, *(_cell(report, split, [name]) for split in report.counts))
    table.add_section()
    table.add_row("all", *(_cell(report, split, classes) for split in report.counts))
    for target, having in report.targets.items():
        table.add_row(f"target {target}", *(f"{having[split]:,}" for split in report.counts))
    if report.layout:
        click.echo(f"layout: {report.layout}")
    TableConsole(soft_wrap=True).print(table)
    click.echo(f"{report.compared:,} images compared, {report.distinct:,} of them distinct")
    for problem in report.problems:
        click.echo(f"- {problem}")
    for reason in list(report.unreadable.values())[:SHOWN]:
        click.echo(f"    {reason}")
    if not report.incomplete:
        click.echo("Complete.")
    else:
        click.echo("This copy is not the published one." if report.expected else "Some images cannot be used.")


def _cell(report: Report, split: str, classes: Sequence[str]) -> str:
    found = sum(report.counts[split][name] for name in classes)
    expected = report.expected.get(split, {})
    if not all(name in expected for name in classes):
        return f"{found:,}"
    wanted = sum(expected[name] for name in classes)
    return f"{found:,}" if found == wanted else f"[red]{found:,} ({wanted:,})[/red]"
