"""Frames of videos, read and written with PyAV: the extra `fer-core[video]`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_core.errors import FerError
from fer_core.files import written_atomically
from fer_core.inference.sources import Photo

if TYPE_CHECKING:
    from PIL import Image

logger = logging.getLogger(__name__)
TICKS = 1000
"""Parts of a second in which frames are written."""
CODECS = ("libx264", "mpeg4")
"""Of which the first that is there is written."""
EARLY = 1e-6
"""Seconds that a frame may be early, as times of videos are rounded."""
MISSING = 1.0
"""Seconds that a video may be shorter than it says."""


@dataclass(frozen=True)
class Frame(Photo):
    """A frame of a video; `time` is seconds from its start."""

    time: float


@dataclass
class Video:
    """What is known of a video that is being read: why it ended early, if it did."""

    path: Path
    problem: str = ""

    def frames(self, fps: float | None) -> Iterator[Frame]:
        """Its frames, upright, or as many of them a second as `fps` says. `problem` is set where they end early.

        Raises:
            FerError: PyAV is not installed, or the file has no video that can be read.
        """
        av = _av()
        try:
            container = av.open(str(self.path))
        except (av.error.FFmpegError, OSError) as error:
            raise FerError(f"cannot read {self.path}: {_words(error)}: name a video such as clip.mp4") from None
        with container:
            if not container.streams.video:
                raise FerError(f"{self.path} has no video: name a video such as clip.mp4")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            start, last, due = None, 0.0, 0
            try:
                for frame in container.decode(stream):
                    at = float(frame.time or 0.0)
                    start = at if start is None else start
                    last = at - start
                    # of the frames in each part of a second the first
                    if fps is None or int((last + EARLY) * fps) >= due:
                        due = int((last + EARLY) * fps) + 1 if fps else 0
                        yield self._frame(frame, last)
            except av.error.FFmpegError as error:
                self.problem = f"{self.path} is damaged after {last:.1f} s: {_words(error)}"
            end = last + float(1 / stream.average_rate if stream.average_rate else 0)  # of the last frame
            length = (container.duration or 0) / av.time_base
            if stream.duration:  # sound may be longer
                length = float(stream.duration * stream.time_base)
            if not self.problem and length - end > MISSING:
                self.problem = f"{self.path} ends after {end:.1f} of {length:.1f} s: it was cut off"

    def _frame(self, frame: Any, time: float) -> Frame:
        turns = round(frame.rotation / 90) % 4  # against the clock, as those of numpy
        pixels = np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns))
        name = f"{self.path} {time:.3f} s"
        return Frame(name, Path(self.path.name), pixels, time)


@contextmanager
def video_writer(path: Path) -> Iterator[Callable[[Image.Image, float], None]]:
    """Gives a function that adds a frame at a time in seconds to a new MP4 file.

    Raises:
        FerError: PyAV is not installed, or the file cannot be written.
    """
    av = _av()
    codec = next(name for name in CODECS if name in av.codecs_available)
    with written_atomically(path) as partial:
        container = av.open(str(partial), "w", format="mp4")
        stream: Any = None

        def add(image: Image.Image, time: float) -> None:
            nonlocal stream
            width, height = image.width - image.width % 2, image.height - image.height % 2  # as yuv420p needs
            if stream is None:
                stream = container.add_stream(codec, rate=TICKS)
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                stream.codec_context.time_base = Fraction(1, TICKS)
            frame = av.VideoFrame.from_ndarray(
                np.asarray(image)[: stream.height, : stream.width].copy(), format="rgb24"
            )
            frame.pts, frame.time_base = round(time * TICKS), Fraction(1, TICKS)
            container.mux(stream.encode(frame))

        try:
            yield add
            if stream is not None:
                container.mux(stream.encode())
        finally:
            container.close()


def _av() -> Any:
    try:
        import av
    except ImportError:
        raise FerError("videos need PyAV: pip install 'fer-core[video]'") from None
    return av


def _words(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
