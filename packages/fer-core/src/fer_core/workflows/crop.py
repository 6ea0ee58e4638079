"""Cutting the faces out of photographs into a folder that the dataset `folder` reads: `fer-run data crop`."""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from fer_core import registry
from fer_core.data.progress import show_progress
from fer_core.engine import Engine
from fer_core.errors import FerError
from fer_core.faces import Alignment
from fer_core.files import free_path, make_folder, table_written_atomically, write_atomically, write_text
from fer_core.inference.crop import Crop, crop_faces
from fer_core.inference.find import Detecting, Finder, given_faces, named_detector
from fer_core.inference.rows import PLACE, Cell, as_text, place_of
from fer_core.inference.sources import ImageFile, find_images, read_images

if TYPE_CHECKING:
    from fer_core.components import Options

__all__ = ["Cropped", "crop_images", "make_alignment"]
logger = logging.getLogger(__name__)
TABLE, ALIGNMENT = "faces.csv", "alignment.json"
COLUMNS = ("source", "face", "file", *PLACE, "error")
SIZE = 112
"""Default side of an aligned face in pixels."""


@dataclass(frozen=True)
class Cropped:
    """How many faces were written, and how many images had none or an error."""

    faces: int
    without_face: int
    failed: int


def make_alignment(template: str | None, margin: float | None, size: int | None) -> Alignment:
    """How faces are to be cut.

    Args:
        template: By five points, to this template.
        margin: By the box, larger by this share.
        size: Height and width in pixels.

    Raises:
        FerError: Both are given, the template is unknown, or a number is out of range.
    """
    if template is not None and margin is not None:
        raise FerError("--template cuts by five points and --margin by the box: give one of them")
    advice = "correct the options of data crop"
    if margin is not None:
        return Alignment.check({"kind": "box", "margin": margin, "size": size}, "--margin and --size", advice)
    name = template or "arcface"
    registry.find("templates", name)
    return Alignment.check(
        {"kind": "points", "template": name, "size": SIZE if size is None else size},
        "--template and --size",
        advice,
    )


def crop_images(
    sources: Sequence[Path],
    out: Path,
    alignment: Alignment,
    *,
    detect: str,
    detector_options: Options,
    boxes: Path | None,
    every_face: bool,
    device: str,
) -> Cropped:
    """Write the faces of images as PNG, a table of them, and how they were cut.

    Args:
        sources: Images, folders or patterns.
        out: A new folder; folders of the sources are kept below it.
        alignment: How faces are cut.
        detect: The name of a detector; `auto`: one that is installed.
        detector_options: Of it.
        boxes: A table of faces, in place of a detector.
        every_face: All faces of an image; else its largest.
        device: Where the detector computes.

    Raises:
        FerError: A source, the detector or the table cannot be used, or the folder is not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FerError(f"{out} is there already: name a new or an empty folder with --out")
    files = [file for source in sources for file in find_images(source)]
    finder = _finder(detect, detector_options, boxes, device)
    make_folder(out)
    write_text(out / ALIGNMENT, alignment.text())
    return _write(files, finder, alignment, out, every_face=every_face)


def _write(
    files: Sequence[ImageFile], finder: Finder, alignment: Alignment, out: Path, *, every_face: bool
) -> Cropped:
    count: Counter[str] = Counter()
    taken: set[Path] = set()
    with (
        table_written_atomically(out / TABLE) as handle,
        show_progress("cutting faces", len(files)) as advance,
    ):
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(COLUMNS)
        photos = read_images(files)
        for done, crops in enumerate(crop_faces(photos, finder, alignment, every_face=every_face), 1):
            for crop in crops:
                file = _save(crop, out, taken, numbered=len(crops) > 1)
                count["faces" if file else "failed" if crop.error else "without face"] += 1
                if crop.error is not None:
                    logger.warning(str(crop.error))
                error = None if crop.error is None else str(crop.error)
                row: dict[str, Cell] = {"source": crop.source, "face": crop.number, "file": file, "error": error}
                row |= dict(place_of(crop.detection))
                writer.writerow([as_text(name, row.get(name)) for name in COLUMNS])
            advance(done)
    return Cropped(count["faces"], count["without face"], count["failed"])


def _save(crop: Crop, out: Path, taken: set[Path], *, numbered: bool) -> str | None:
    """Write a face; its path below the folder."""
    if crop.pixels is None:
        return None
    path = crop.below.with_suffix(".png")
    path = free_path(path.with_stem(f"{path.stem}-{crop.number}") if numbered else path, taken)
    make_folder((out / path).parent)
    image = Image.fromarray(crop.pixels if crop.pixels.shape[2] == 3 else crop.pixels[..., 0])
    write_atomically(out / path, lambda partial: image.save(partial, "PNG"))
    return path.as_posix()


def _finder(detect: str, options: Options, boxes: Path | None, device: str) -> Finder:
    if boxes is not None:
        return given_faces(boxes, detect, options)
    name, detector = named_detector(detect, options, Engine.start(device, "fp32").device.torch_device)
    return Detecting(detector, name)
