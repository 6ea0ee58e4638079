"""Predicting the expressions of images: what `fer-run predict` does."""

from __future__ import annotations

import csv
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from fer_core.data.progress import PATIENCE, show_progress
from fer_core.engine import Engine
from fer_core.files import free_path, make_folder, table_written_atomically, write_atomically
from fer_core.inference import Answer, Face
from fer_core.inference.answer import Classifier, answer
from fer_core.inference.network import Network
from fer_core.inference.predictor import finder_for
from fer_core.inference.rows import cells, columns, plain
from fer_core.inference.sources import ImageFile, find_images, read_images
from fer_core.runs.resolve import installed_weights

if TYPE_CHECKING:
    from fer_core.components import Options

__all__ = ["Answer", "Face", "Prediction", "Sink", "find_images", "plain", "predict_images"]
logger = logging.getLogger(__name__)
STANDARD_OUTPUT = "-"


@dataclass(frozen=True)
class Sink:
    """Where the answers go besides the caller.

    Attributes:
        table: A CSV file, `-` for standard output.
        lines: A JSONL file, likewise.
        drawings: A folder for annotated images.
    """

    table: Path | None = None
    lines: Path | None = None
    drawings: Path | None = None


@dataclass
class Prediction:
    """What is being predicted.

    Attributes:
        answers: Image after image, written to the sink while they are taken.
        several: Whether several networks say something.
        images: How many images there are.
        failed: How many of those so far could not be read.
    """

    answers: Iterator[Answer]
    several: bool
    images: int
    failed: int = 0


def predict_images(
    files: Sequence[ImageFile],
    models: Sequence[str],
    sink: Sink,
    *,
    device: str,
    precision: str,
    detect: str,
    detector_options: Options,
    boxes: Path | None,
    head: str | None,
    strict: bool,
    bar: bool,
) -> Prediction:
    """Load the networks, and classify the faces of images while answers are taken.

    Args:
        files: The images.
        models: Weights, as `resolve_weights` takes them; none: those that are installed.
        sink: Where the answers are written.
        device: Where the networks compute.
        precision: In which they do.
        detect: As `Predictor` takes it.
        detector_options: Of the detector.
        boxes: A table of faces, in place of a detector.
        head: The head of the networks that predicts; None: as their cards say.
        strict: Whether the first image that cannot be read ends it.
        bar: Whether progress may be shown.

    Raises:
        FerError: Weights, a detector or a table cannot be used.
    """
    places = models or [installed_weights()]
    engine = Engine.start(device, precision)
    networks = {name: Network.choose(name, engine, fast=True, head=head) for name in places}
    finder = finder_for(networks.values(), detect, detector_options, boxes)
    several = len(networks) > 1
    classifiers = [Classifier(network, name if several else "") for name, network in networks.items()]
    classes = tuple(dict.fromkeys(name for network in networks.values() for name in network.classes))
    answers = answer(read_images(files), finder, classifiers, keep_pixels=sink.drawings is not None)
    prediction = Prediction(iter(()), several, len(files))

    def watched() -> Iterator[Answer]:
        began, faces, done = time.monotonic(), 0, 0
        with ExitStack() as stack:
            table = None if sink.table is None else stack.enter_context(_rows(sink.table, classes, several))
            lines = None if sink.lines is None else stack.enter_context(_text(sink.lines))
            draw = _drawer(sink.drawings)
            advance = stack.enter_context(show_progress("predicting", len(files), wanted=bar))
            for done, found in enumerate(answers, 1):
                if found.error is not None:
                    if strict:
                        raise found.error
                    prediction.failed += 1
                    logger.warning(str(found.error))
                faces += len(found.faces) // len(classifiers)
                if table is not None:
                    table.writerows(cells(found, classes, several=several))
                if lines is not None:
                    rows = plain(found, several=several)
                    lines.writelines(json.dumps(row, allow_nan=False) + "\n" for row in rows)
                draw(found)
                advance(done)
                yield found
        seconds = time.monotonic() - began
        if seconds > PATIENCE:
            logger.info(f"{done:,} images, {faces:,} faces in {seconds:,.1f} s ({done / seconds:,.1f} images/s)")

    prediction.answers = watched()
    return prediction


@contextmanager
def _rows(path: Path, classes: Sequence[str], several: bool) -> Iterator[Any]:
    with _text(path) as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(columns(classes, several=several))
        yield writer


@contextmanager
def _text(path: Path) -> Iterator[TextIO]:
    if str(path) == STANDARD_OUTPUT:
        yield sys.stdout
        return
    with table_written_atomically(path) as handle:
        yield handle


def _drawer(folder: Path | None) -> Callable[[Answer], None]:
    """Writes annotated images into a folder, in the order and under the names of the images."""
    if folder is None:
        return lambda found: None
    make_folder(folder)
    from fer_core.inference.marks import marks_of
    from fer_core.plotting.photos import draw_marks

    taken: set[Path] = set()

    def draw(found: Answer) -> None:
        if found.pixels is None:
            return
        path = free_path(folder / found.below.with_suffix(".jpg"), taken)
        make_folder(path.parent)
        image = draw_marks(found.pixels, marks_of(found.faces))
        write_atomically(path, lambda partial: image.save(partial, "JPEG", quality=90))

    return draw
