"""`fer-run predict`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fer_core.cli.options import (
    DETECTOR_OPTION,
    boxes_option,
    component_options,
    detect_option,
    detector_override_option,
    device_option,
    head_option,
    json_option,
    precision_option,
    print_json,
)
from fer_core.errors import FerError, IncompleteError

if TYPE_CHECKING:
    from fer_core.workflows.predict import Answer, Face

_FILE = click.Path(path_type=Path, dir_okay=False, allow_dash=True)


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...", type=click.Path(path_type=Path))
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    metavar="WEIGHTS",
    help="A weight file, a run folder, FOLDER/latest, FOLDER/best, an address or a name of fer-run list weights "
    "[default: the installed weights]. Repeatable.",
)
@head_option
@detect_option
@detector_override_option
@boxes_option
@click.option(
    "--csv", "table", type=_FILE, metavar="FILE", help="Write a table to this file ('-': standard output)."
)
@click.option(
    "--jsonl",
    "lines",
    type=_FILE,
    metavar="FILE",
    help="Write a line of JSON for every face to this file ('-': standard output).",
)
@click.option(
    "--draw",
    "drawings",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write the images with their faces marked into this folder.",
)
@click.option("--strict", is_flag=True, help="Stop at the first unreadable image.")
@device_option
@precision_option
@json_option
def predict(
    sources: tuple[Path, ...],
    models: tuple[str, ...],
    head: str | None,
    detect: str,
    overrides: tuple[str, ...],
    boxes: Path | None,
    table: Path | None,
    lines: Path | None,
    drawings: Path | None,
    strict: bool,
    device: str,
    precision: str,
    as_json: bool,
) -> None:
    """Classify the expressions of the faces in images.

    Each SOURCE is an image, a folder of images, a pattern such as 'photos/*.jpg', or - for standard input.
    Unreadable images are skipped with a warning each; then the exit status is 1.

    \b
    fer-run predict photo.jpg
    fer-run predict photo.jpg -m runs/latest --draw marked
    fer-run predict photos -m runs/MODEL-rafdb/best -m trained.safetensors --csv expressions.csv
    """  # noqa: D301  # click reads \b
    options = component_options(overrides, DETECTOR_OPTION)
    to_stdout = [name for name, path in (("--csv", table), ("--jsonl", lines)) if str(path) == "-"]
    if len([*to_stdout, *(["--json"] if as_json else [])]) > 1:
        raise FerError(f"{' and '.join(to_stdout)} cannot both be standard output: name a file for one of them")
    from fer_core.workflows.predict import Sink, find_images, predict_images

    files = [file for source in sources for file in find_images(source)]
    quiet = as_json or table is not None or lines is not None
    prediction = predict_images(
        files,
        models,
        Sink(table, lines, drawings),
        device=device,
        precision=precision,
        detect=detect,
        detector_options=options,
        boxes=boxes,
        head=head,
        strict=strict,
        bar=(quiet and not to_stdout) or not sys.stdout.isatty(),
    )
    if as_json:
        from fer_core.workflows.predict import plain

        several = prediction.several
        print_json([row for found in prediction.answers for row in plain(found, several=several)])
    else:
        for found in prediction.answers:
            if not quiet:
                for line in _lines(found, several=prediction.several):
                    click.echo(line)
    if prediction.failed:
        raise IncompleteError(
            f"{prediction.failed} of {prediction.images} images could not be read (see the lines above)"
        )


def _lines(found: Answer, *, several: bool) -> Iterator[str]:
    if found.error is None and not found.faces:
        yield f"{found.source}  no face"
    for face in found.faces:
        yield "  ".join(_parts(face, several=several))


def _parts(face: Face, *, several: bool) -> Iterator[str]:
    if several:
        yield face.model
    yield face.source
    if face.number is not None:
        yield f"face {face.number}"
    yield face.label
    yield f"{face.probability:.1%}"
