"""Where the faces of images are: found by a detector, given in a table, or the images themselves."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from fer_core import registry
from fer_core.components import Options, build, check
from fer_core.data.images import as_rgb
from fer_core.errors import FerError
from fer_core.faces import Alignment, Detection, Detector
from fer_core.returned import find_faces

if TYPE_CHECKING:
    import torch

    from fer_core.inference.sources import Photo
    from fer_core.preprocessing import Preprocessing

logger = logging.getLogger(__name__)
AUTO, NONE = "auto", "none"
FIRST = "centerface"
"""The detector that `auto` takes where it is installed."""
LARGEST_CROP = 256
"""Longest side of an image that is taken as a face already, unless the network reads larger ones."""
Found: TypeAlias = list[Detection] | FerError | None
"""The faces of an image; None where the whole image is the face; or why it has neither."""
EDGES = ("left", "top", "right", "bottom")
POINTS = tuple(
    f"{name}_{axis}" for name in ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth") for axis in "xy"
)
"""Columns of tables with faces."""


class Finder(Protocol):
    """Says where the faces of images are."""

    def find(self, photos: Sequence[Photo]) -> list[Found]:
        """The faces of each image from left to right; all images could be read."""


class Whole:
    """Every image is a face.

    Args:
        expected: How faces were cut for the networks, to warn of an image that was not; empty: no warning.
        side: Longest side of an image that may be such a face.
        advice: What to do about others.
    """

    def __init__(self, expected: str = "", side: int = 0, advice: str = "") -> None:
        self.expected, self.side, self.advice = expected, side, advice

    def find(self, photos: Sequence[Photo]) -> list[Found]:
        """None for each of them."""
        for photo in photos:
            height, width = photo.image.shape[:2]
            if self.expected and max(height, width) > self.side:
                logger.warning(
                    f"{photo.name} has {width} x {height} pixels and is taken as one face, but the network was "
                    f"trained on faces cut by {self.expected}: {self.advice}"
                )
                self.expected = ""  # once
        return [None] * len(photos)


class Detecting:
    """Faces that a detector finds.

    Args:
        detector: It.
        name: What to call it.
        side: Longest side of an image that is a face already, which it does not look at; 0 for none.
    """

    def __init__(self, detector: Detector, name: str, side: int = 0) -> None:
        self.detector, self.name, self.side = detector, name, side
        self.said = side == 0

    def find(self, photos: Sequence[Photo]) -> list[Found]:
        """What it finds, in images that are larger than `side`."""
        large = [photo for photo in photos if max(photo.image.shape[:2]) > self.side]
        if large and not self.said:
            self.said = True
            logger.info(
                f"faces    found by {self.name} in images of more than {self.side} pixels; "
                "--detect none takes every image as a face"
            )
        images = [as_rgb(photo.image) for photo in large]
        found = iter(find_faces(self.detector, images) if images else ())
        looked_at = {id(photo) for photo in large}
        return [_from_the_left(next(found)) if id(photo) in looked_at else None for photo in photos]


class Given:
    """Faces that a table lists, as `fer-run predict --csv` writes it.

    Args:
        table: A CSV file with the columns `source`, `left`, `top`, `right` and `bottom`, and perhaps `score` and
            the ten of `POINTS`. A row without edges is an image without a face.

    Raises:
        FerError: The file cannot be read, lacks a column, or has a row that is not a face.
    """

    def __init__(self, table: Path) -> None:
        self.table = table
        self.faces: dict[str, list[Detection]] = {}
        try:
            with table.open(newline="", encoding="utf-8-sig") as handle:
                rows = csv.DictReader(handle)
                if missing := [name for name in ("source", *EDGES) if name not in (rows.fieldnames or ())]:
                    raise FerError(f"{table} has no column {missing[0]}: it needs source, {', '.join(EDGES)}")
                for row in rows:
                    faces = self.faces.setdefault(_key(row["source"] or ""), [])
                    faces += _read_row(row, f"{table}, line {rows.line_num}")
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise FerError(f"cannot read {table}: {error}: name a CSV file with boxes of faces") from None

    def find(self, photos: Sequence[Photo]) -> list[Found]:
        """What the table lists."""
        return [self._of(photo.name) for photo in photos]

    def _of(self, name: str) -> Found:
        faces = self.faces.get(_key(name))
        if faces is None:
            return FerError(f"{name} is not in {self.table}: give it a row, without edges where it has no face")
        return _from_the_left(faces)


def _key(name: str) -> str:
    """An image whether its path begins here or at the root; links are not followed, which could make two one."""
    return os.path.abspath(name)  # noqa: PTH100


def make_finder(
    detect: object,
    options: Options,
    boxes: Path | None,
    networks: Iterable[Preprocessing],
    device: torch.device,
) -> Finder:
    """What finds the faces for networks.

    Args:
        detect: `auto`, `none`, the name of a detector, or one.
        options: Of the detector.
        boxes: A table of faces, in place of a detector.
        networks: What they read.
        device: Where a detector computes that has `to`.

    Raises:
        FerError: An unknown detector or option, or options without a detector.
    """
    contracts = list(networks)
    if boxes is not None:
        return given_faces(boxes, detect, options)
    expected, side = _expected(contracts), _largest_crop(contracts)
    if detect == NONE:
        if options:
            raise FerError("--detect none has no options: leave out -o detector.KEY=VALUE, or name a detector")
        return Whole(expected, side, "crop the faces, or leave out --detect none")
    if not isinstance(detect, str):
        return Detecting(placed(detect, device), type(detect).__name__)
    if detect != AUTO:
        return Detecting(placed(build("detectors", detect, options), device), detect)
    whole = all(each.alignment is not None and each.alignment.kind == "none" for each in contracts)
    if whole and not options:  # such networks learnt whole images, whatever their size
        return Whole()
    name = choose_detector(options)
    if name is None:
        home = registry.known()["detectors"][FIRST]
        expected = expected or "a way that its weights do not tell"
        return Whole(expected, side, f"pip install {home} to find its faces, or crop them")
    return Detecting(placed(build("detectors", name, options), device), name, side)


def given_faces(boxes: Path, detect: object, options: Options) -> Given:
    """The faces of a table. Raises FerError where a detector or options of one are asked for, too."""
    if detect != AUTO or options:
        raise FerError("--boxes says where the faces are: leave out --detect and options of a detector")
    return Given(boxes)


def named_detector(detect: str, options: Options, device: torch.device) -> tuple[str, Detector]:
    """A detector that looks at every image, with its name; of `auto` the one that is installed.

    Raises:
        FerError: An unknown detector or option; none is installed.
    """
    name = choose_detector(options) if detect == AUTO else detect
    if name is None:
        registry.find("detectors", FIRST)  # says which package brings it
    return name or FIRST, placed(build("detectors", name or FIRST, options), device)


def choose_detector(options: Options) -> str | None:
    """The installed detector that `auto` takes: `centerface`, or the first that these options suffice for.

    Raises:
        FerError: Options are given, but no detector is installed, or the only one does not take them.
    """
    names = sorted(
        (name for name in registry.names("detectors") if name != "whole"), key=lambda name: name != FIRST
    )
    if names and (options or names[0] == FIRST):
        check("detectors", names[0], options)
        return names[0]
    if options:
        registry.find("detectors", FIRST)  # says which package brings it
    for name in names:
        try:
            check("detectors", name, options)
        except FerError:  # it needs options, such as the file of a model
            continue
        return name
    return None


def _expected(contracts: Iterable[Preprocessing]) -> str:
    """How faces were cut for the networks, in words; empty where it is not known, or nothing was cut."""
    alignments = [each.alignment for each in contracts if each.alignment is not None]
    return ", ".join(dict.fromkeys(str(each) for each in alignments if each.kind != "none"))


def _largest_crop(contracts: Iterable[Preprocessing]) -> int:
    sides = [LARGEST_CROP]
    for each in contracts:
        cut = each.alignment or Alignment(kind="none")
        sides += [each.input_size, cut.size or 0]
    return max(sides)


def placed(detector: Any, device: torch.device) -> Detector:
    """A detector, moved to the device if it can be moved."""
    if callable(getattr(detector, "to", None)):
        detector.to(device)
    found: Detector = detector
    return found


def _from_the_left(faces: Iterable[Detection]) -> list[Detection]:
    return sorted(faces, key=lambda face: face.box)


def _read_row(row: Mapping[str, str | None], place: str) -> list[Detection]:
    """The face of a row, if it has one."""

    def numbers(columns: Sequence[str]) -> list[float]:
        try:
            return [float(row.get(column) or "") for column in columns]
        except ValueError:
            raise FerError(f"{place}: {', '.join(columns)} are not all numbers: correct the table") from None

    if not any(row[edge] for edge in EDGES):
        return []
    points = numbers(POINTS) if any(row.get(column) for column in POINTS) else []
    face = {
        "box": numbers(EDGES),
        "score": numbers(["score"])[0] if row.get("score") else 1.0,
        "points": list(zip(points[::2], points[1::2], strict=True)) or None,
    }
    return [Detection.check(face, place, "correct the table")]
