"""Frames of videos, read and written with PyAV: the extra `fer-core[video]`."""

from __future__ import annotations

import logging
import signal
import sys
import threading
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

CAMERAS: dict[str, tuple[str, str | None]] = {
    "linux": ("v4l2", "/dev/video{}"),
    "darwin": ("avfoundation", "{}"),
    "win32": ("dshow", None),
}
"""What FFmpeg calls the cameras of a system, and how it numbers them; None: it does not."""


@dataclass(frozen=True)
class Frame(Photo):
    """A frame of a video; `time` is seconds from its start."""

    time: float


@dataclass
class Video:
    """A video that is being read.

    Attributes:
        source: A file, or what FFmpeg calls a camera.
        device: FFmpeg's name for the cameras of this system; None for a file.
        seconds: After how many it ends; None: as late as it can.
        stopped: Set it to end the video after the frame that is being read.
        problem: Why it ended early, if it did.
    """

    source: str | Path
    device: str | None = None
    seconds: float | None = None
    stopped: bool = False
    problem: str = ""

    def frames(self, fps: float | None) -> Iterator[Frame]:
        """Its frames, upright, or as many of them a second as `fps` says. `problem` is set where they end early.

        Raises:
            FerError: PyAV is not installed, or the file has no video that can be read, or there is no camera.
        """
        av = _av()
        try:
            container = av.open(str(self.source), format=self.device)
        except (av.error.FFmpegError, OSError, ValueError) as error:  # ValueError: an unknown device
            raise FerError(self._no(_words(error))) from None
        with container:
            if not container.streams.video:
                raise FerError(f"{self.source} has no video: name a video such as clip.mp4")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            start, last, due = None, 0.0, 0
            try:
                for frame in container.decode(stream):
                    at = float(frame.time or 0.0)
                    start = at if start is None else start
                    last = at - start
                    if self.stopped or (self.seconds is not None and last + EARLY >= self.seconds):
                        self.stopped = True
                        break
                    # of the frames in each part of a second the first
                    if fps is None or int((last + EARLY) * fps) >= due:
                        due = int((last + EARLY) * fps) + 1 if fps else 0
                        yield self._frame(frame, last)
            except av.error.FFmpegError as error:
                what = "is damaged" if self.device is None else "ended"
                self.problem = f"{self.source} {what} after {last:.1f} s: {_words(error)}"
            end = last + float(1 / stream.average_rate if stream.average_rate else 0)  # of the last frame
            length = (container.duration or 0) / av.time_base
            if stream.duration:  # sound may be longer
                length = float(stream.duration * stream.time_base)
            if not (self.problem or self.stopped) and length - end > MISSING:
                self.problem = f"{self.source} ends after {end:.1f} of {length:.1f} s: it was cut off"

    def _frame(self, frame: Any, time: float) -> Frame:
        turns = round(frame.rotation / 90) % 4  # against the clock, as those of numpy
        pixels = np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns))
        return Frame(f"{self.source} {time:.3f} s", Path(Path(self.source).name), pixels, time)

    def _no(self, words: str) -> str:
        if self.device is None:
            return f"cannot read {self.source}: {words}: name a video such as clip.mp4"
        return f"cannot open the camera {self.source}: {words}: connect it, choose another number, or name a video"


def camera(number: int, seconds: float | None) -> Video:
    """A camera of this system, from 0 on, that is watched for so many seconds; None: until it is stopped.

    Raises:
        FerError: PyAV is not installed, or the system or the number has no camera.
    """
    device, pattern = CAMERAS.get(sys.platform, ("", ""))
    if not device:
        raise FerError(f"fer knows no cameras on {sys.platform}: record a video, and name it")
    if pattern is not None:
        return Video(pattern.format(number), device, seconds)
    try:  # they have names there
        found = [each.name for each in _av().enumerate_input_devices(device) if "video" in each.media_types]
    except AttributeError:
        raise FerError("cameras need a newer PyAV: pip install --upgrade av") from None
    if number >= len(found):
        raise FerError(f"there is no camera {number}, but {len(found)} in all: connect it, or name a video")
    return Video(f"video={found[number]}", device, seconds)


@contextmanager
def ended_by_interrupt(video: Video) -> Iterator[None]:
    """Within, Ctrl-C ends the video; a second one ends the program."""
    if threading.current_thread() is not threading.main_thread():  # which gets no signals
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def end(number: int, frame: object) -> None:
        video.stopped = True
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


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
