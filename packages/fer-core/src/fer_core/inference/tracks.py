"""Faces followed from frame to frame of a video, and their expressions smoothed over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fer_core.inference.answer import Face

Box = tuple[float, float, float, float]
OVERLAP = 0.3
"""Least share of their union that the boxes of a face in two frames have in common."""
PATIENCE = 1.0
"""Seconds without a face after which its track ends."""


@dataclass(frozen=True)
class Interval:
    """A time in which a face had one expression.

    Attributes:
        track: Which face.
        begin: Seconds from the start of the video.
        end: Likewise, of the last frame.
        label: The expression.
        probability: Of the label, mean of the frames.
        frames: How many there were.
    """

    track: int
    begin: float
    end: float
    label: str
    probability: float
    frames: int


@dataclass
class Track:
    """A face that is followed.

    Attributes:
        number: From 1 on.
        box: Where it was last.
        time: When, in seconds.
        smoothed: Its probabilities [C], smoothed.
        intervals: Its expressions so far.
    """

    number: int
    box: Box
    time: float
    smoothed: NDArray[np.float64]
    intervals: list[Interval] = field(default_factory=list)


class Tracker:
    """Gives faces of one video numbers, and smooths their probabilities.

    Args:
        smooth: Seconds after which what was seen counts half; 0: nothing is smoothed.
    """

    def __init__(self, smooth: float) -> None:
        self.smooth = smooth
        self.tracks: list[Track] = []

    def follow(self, time: float, faces: Sequence[Face]) -> list[Face]:
        """The faces of a frame with the numbers of their tracks and smoothed probabilities, by number."""
        found = [self._update(track, time, face) for track, face in self._pairs(time, faces)]
        return sorted(found, key=lambda face: face.number or 0)

    def intervals(self) -> list[Interval]:
        """When which face had which expression."""
        return [each for track in self.tracks for each in track.intervals]

    def _pairs(self, time: float, faces: Sequence[Face]) -> Iterator[tuple[Track | None, Face]]:
        """Tracks and faces whose boxes overlap most, one to one; None where a face is new."""
        tracks = [track for track in self.tracks if time - track.time <= PATIENCE]
        shares = [
            (overlap(track.box, _box(face)), t, f)
            for t, track in enumerate(tracks)
            for f, face in enumerate(faces)
        ]
        taken: dict[int, int] = {}
        for share, t, f in sorted(shares, reverse=True):
            if share >= OVERLAP and f not in taken and t not in taken.values():
                taken[f] = t
        for f, face in enumerate(faces):
            yield tracks[taken[f]] if f in taken else None, face

    def _update(self, track: Track | None, time: float, face: Face) -> Face:
        now = np.array(list(face.probabilities.values()))
        if track is None:
            track = Track(len(self.tracks) + 1, _box(face), time, now)
            self.tracks.append(track)
        kept = 0.5 ** ((time - track.time) / self.smooth) if self.smooth else 0.0
        track.smoothed = kept * track.smoothed + (1 - kept) * now
        track.box, track.time = _box(face), time
        names = list(face.probabilities)
        best = int(track.smoothed.argmax())
        smoothed = dict(zip(names, track.smoothed.tolist(), strict=True))
        label, probability = names[best], float(track.smoothed[best])
        last = track.intervals[-1] if track.intervals else None
        if last is None or last.label != label:
            track.intervals.append(Interval(track.number, time, time, label, probability, 1))
        else:
            mean = (last.probability * last.frames + probability) / (last.frames + 1)
            track.intervals[-1] = replace(last, end=time, probability=mean, frames=last.frames + 1)
        return replace(face, number=track.number, label=label, probability=probability, probabilities=smoothed)


def overlap(one: Box, other: Box) -> float:
    """What two boxes have in common, as a share of their union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


def _box(face: Face) -> Box:
    assert face.detection is not None
    return face.detection.box
