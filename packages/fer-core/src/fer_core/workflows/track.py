"""Following the faces of a video and their expressions: what `fer-run track` does."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from fer_core.data.progress import show_progress
from fer_core.engine import Engine
from fer_core.files import table_written_atomically
from fer_core.inference.answer import Classifier, answer
from fer_core.inference.find import Detecting, named_detector
from fer_core.inference.marks import marks_of
from fer_core.inference.network import Network
from fer_core.inference.rows import PLACE, as_text, place_of
from fer_core.inference.tracks import Interval, Tracker
from fer_core.inference.video import Frame, Video, camera, ended_by_interrupt, video_writer
from fer_core.plotting.photos import draw_marks
from fer_core.runs.resolve import installed_weights

if TYPE_CHECKING:
    from fer_core.components import Options
    from fer_core.inference.answer import Face

__all__ = ["Interval", "Tracked", "track_video"]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tracked:
    """What a video shows: when which face had which expression, of how many frames, and why it ended early."""

    intervals: list[Interval]
    frames: int
    problem: str


def track_video(
    source: Path | int,
    model: str | None,
    *,
    detect: str,
    detector_options: Options,
    head: str | None,
    device: str,
    precision: str,
    fps: float | None,
    seconds: float | None,
    smooth: float,
    frames: Path | None,
    tracks: Path | None,
    drawing: Path | None,
) -> Tracked:
    """Find, follow and classify the faces of a video; memory does not grow with its length.

    What a camera sees is logged while it is watched, until Ctrl-C.

    Args:
        source: A file, or the number of a camera.
        model: Weights, as `resolve_weights` takes them; None: those that are installed.
        detect: A detector; `auto`: one that is installed.
        detector_options: Of it.
        head: The head of the network that predicts; None: as its card says.
        device: Where all is computed.
        precision: Of the network.
        fps: How many frames a second are looked at; None: all.
        seconds: How many are looked at; None: all.
        smooth: Seconds after which what was seen of a face counts half.
        frames: A CSV file for a row for each face of each frame.
        tracks: One for the intervals.
        drawing: An MP4 file for the video with its faces marked.

    Raises:
        FerError: The video, the weights or the detector cannot be used, or a file not be written.
    """
    engine = Engine.start(device, precision)
    place = installed_weights() if model is None else model
    network = Network.choose(place, engine, fast=True, head=head)
    name, detector = named_detector(detect, detector_options, engine.device.torch_device)
    live = isinstance(source, int)
    video = camera(source, seconds) if isinstance(source, int) else Video(source, seconds=seconds)
    tracker, count = Tracker(smooth), 0
    columns = ["time", "track", *PLACE, "label", "probability", *(f"p_{each}" for each in network.classes)]
    times: list[float] = []
    labels: dict[int | None, str] = {}

    def timed() -> Iterator[Frame]:
        for frame in video.frames(fps):
            times.append(frame.time)
            yield frame

    with ExitStack() as stack:
        rows = None
        if frames is not None:
            rows = csv.writer(stack.enter_context(table_written_atomically(frames)), lineterminator="\n")
            rows.writerow(columns)
        draw = None if drawing is None else stack.enter_context(video_writer(drawing))
        advance = stack.enter_context(show_progress("following faces", None))
        if live:
            stack.enter_context(ended_by_interrupt(video))
        finder, classifiers, at_once = Detecting(detector, name), [Classifier(network)], 1 if live else None
        found = answer(timed(), finder, classifiers, keep_pixels=draw is not None, at_once=at_once)
        for count, shown in enumerate(found, 1):
            if shown.error is not None:
                raise shown.error
            time = times.pop(0)
            faces = tracker.follow(time, shown.faces)
            if live:
                _tell_changes(time, faces, labels)
            if rows is not None:
                rows.writerows(_row(time, face, columns) for face in faces)
            if draw is not None and shown.pixels is not None:
                draw(draw_marks(shown.pixels, marks_of(faces)), time)
            advance(count)
    if tracks is not None:
        _write_tracks(tracks, tracker.intervals())
    return Tracked(tracker.intervals(), count, video.problem)


def _tell_changes(time: float, faces: Sequence[Face], labels: dict[int | None, str]) -> None:
    """Says which faces are new or have another label; `labels` are those of the tracks, which it keeps."""
    for face in faces:
        if labels.get(face.number) != face.label:
            labels[face.number] = face.label
            logger.info(f"{time:.1f} s  face {face.number}  {face.label}  {face.probability:.1%}")


def _row(time: float, face: Face, columns: list[str]) -> list[str]:
    row = {"time": time, "track": face.number, "label": face.label, "probability": face.probability}
    row |= dict(place_of(face.detection)) | {f"p_{name}": value for name, value in face.probabilities.items()}
    return [as_text(name, row.get(name)) for name in columns]


def _write_tracks(path: Path, intervals: list[Interval]) -> None:
    with table_written_atomically(path) as handle:
        writer = csv.writer(handle, lineterminator="\n")
        names = [each.name for each in fields(Interval)]
        writer.writerow(names)
        for interval in intervals:
            writer.writerow([as_text(name, value) for name, value in zip(names, astuple(interval), strict=True)])
