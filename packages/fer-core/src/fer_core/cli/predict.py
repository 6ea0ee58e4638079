"""`fer-run predict`."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from fer_core.cli.options import device_option, json_option, precision_option, print_json
from fer_core.errors import FerError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fer_core.inference import Face


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--csv", "table", type=click.Path(path_type=Path), help="Write a table to this file ('-': standard output)."
)
@device_option
@precision_option
@json_option
def predict(
    checkpoint: Path, sources: tuple[Path, ...], table: Path | None, device: str, precision: str, as_json: bool
) -> None:
    """Name the expression of cropped faces: SOURCES are pictures, or folders of them."""
    from fer_core.inference import Predictor

    predictor = Predictor(checkpoint, device, precision)
    faces = predictor(*sources) if table is not None or as_json else predictor.stream(sources)
    if table is not None:
        _write_csv(list(faces), predictor.classes, table)
    elif as_json:
        print_json([vars(face) for face in faces])
    else:
        for face in faces:
            click.echo(f"{face.source}  {face.label}  {face.probability:.1%}")


def _write_csv(faces: Iterable[Face], classes: tuple[str, ...], path: Path) -> None:
    if str(path) == "-":
        _write_rows(faces, classes, sys.stdout)
        return
    try:
        with path.open("w", newline="", encoding="utf-8") as handle:
            _write_rows(faces, classes, handle)
    except OSError as error:
        raise FerError(f"cannot write {path} ({error.strerror}): choose another file with --csv") from error


def _write_rows(faces: Iterable[Face], classes: tuple[str, ...], handle: TextIO) -> None:
    writer = csv.writer(handle, lineterminator="\n")
    writer.writerow(["source", "label", "probability", *(f"p_{name}" for name in classes)])
    for face in faces:
        writer.writerow(
            [
                face.source,
                face.label,
                f"{face.probability:.6f}",
                *(f"{face.probabilities[name]:.6f}" for name in classes),
            ]
        )
