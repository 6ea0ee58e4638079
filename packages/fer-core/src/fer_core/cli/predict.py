"""`fer-run predict`."""

from __future__ import annotations

import csv
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from fer_core.cli.options import device_option, json_option, precision_option, print_json
from fer_core.errors import IncompleteError

if TYPE_CHECKING:
    from fer_core.workflows.predict import Face, Failed, Predictor

    Rows = Iterator[tuple[str, Face | Failed]]
    """Which weights, and what they say; of an image that failed once, without weights."""

logger = logging.getLogger(__name__)


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...", type=click.Path(path_type=Path))
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    metavar="WEIGHTS",
    help="A weight file, a run folder, FOLDER/latest, FOLDER/best or an address. Repeatable.",
)
@click.option(
    "--csv",
    "table",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="Write a table to this file ('-': standard output).",
)
@click.option("--strict", is_flag=True, help="Stop at the first unreadable image.")
@device_option
@precision_option
@json_option
def predict(
    sources: tuple[Path, ...],
    models: tuple[str, ...],
    table: Path | None,
    strict: bool,
    device: str,
    precision: str,
    as_json: bool,
) -> None:
    """Classify the expression of cropped faces: each SOURCE is an image, or a folder of images.

    Unreadable images are skipped with a warning each; then the exit status is 1.

    \b
    fer-run predict photos -m runs/latest
    fer-run predict photos -m runs/MODEL-rafdb/best -m trained.safetensors --csv expressions.csv
    """  # noqa: D301  # click reads \b
    from fer_core.workflows.predict import Predictor, find_images, no_weights

    images = [image for source in sources for image in find_images(source)]
    if not models:
        raise no_weights()
    predictors = {}
    for name in models:
        predictors[name] = Predictor(name, device, precision)
    failed: list[Failed] = []
    rows = _predict(predictors, images, failed, strict=strict)
    if table is not None:
        _write_table(rows, predictors, table)
    elif as_json:
        print_json([_plain(row, several=len(predictors) > 1) for row in rows])
    else:
        _print(rows, several=len(predictors) > 1)
    if failed:
        raise IncompleteError(f"{len(failed)} of {len(images)} images could not be read (see the lines above)")


def _predict(
    predictors: dict[str, Predictor], images: Sequence[Path], failed: list[Failed], *, strict: bool
) -> Rows:
    """Image after image, by all weights; notes and reports what failed."""
    from fer_core.workflows.predict import Failed

    for results in zip(*(predictor.attempt(images) for predictor in predictors.values()), strict=True):
        if isinstance(results[0], Failed):
            if strict:
                raise results[0].error
            failed.append(results[0])
            logger.warning(str(results[0].error))
            yield "", results[0]
        else:
            yield from zip(predictors, results, strict=True)


def _print(rows: Rows, *, several: bool) -> None:
    from fer_core.workflows.predict import Face

    for model, result in rows:
        if isinstance(result, Face):
            first = f"{model}  " if several else ""
            click.echo(f"{first}{result.source}  {result.label}  {result.probability:.1%}")


def _plain(row: tuple[str, Face | Failed], *, several: bool) -> object:
    from fer_core.workflows.predict import Failed

    model, result = row
    if isinstance(result, Failed):
        return {"source": result.source, "error": str(result.error)}
    return ({"model": model} if several else {}) | vars(result)


def _write_table(rows: Rows, predictors: dict[str, Predictor], path: Path) -> None:
    classes = tuple(dict.fromkeys(name for predictor in predictors.values() for name in predictor.classes))
    several = len(predictors) > 1
    if str(path) == "-":
        _write_rows(rows, classes, several, sys.stdout)
        return
    from fer_core.workflows.predict import write_atomically

    def write(partial: Path) -> None:
        with partial.open("w", newline="", encoding="utf-8", errors="backslashreplace") as handle:
            _write_rows(rows, classes, several, handle)

    write_atomically(path, write)


def _write_rows(rows: Rows, classes: Sequence[str], several: bool, handle: TextIO) -> None:
    from fer_core.workflows.predict import Face

    first = ["model"] if several else []
    writer = csv.writer(handle, lineterminator="\n")
    writer.writerow([*first, "source", "label", "probability", *(f"p_{name}" for name in classes), "error"])
    for model, result in rows:
        if isinstance(result, Face):
            known = result.probabilities
            scores = [f"{known[name]:.6f}" if name in known else "" for name in classes]
            cells = [result.source, result.label, f"{result.probability:.6f}", *scores, ""]
        else:
            cells = [result.source, "", "", *("" for _ in classes), str(result.error)]
        writer.writerow([*([model] if several else []), *cells])
