"""`fer-run track`: faces followed through a video that is drawn, by a stand-in detector that knows them."""

from __future__ import annotations

import csv
import os
import signal
import sys
from pathlib import Path

import fer_core
import numpy as np
import pytest
from click.testing import CliRunner, Result
from fer_core.cli import main
from fer_core.faces import Detection
from fer_core.inference import Face, video
from fer_core.inference.tracks import Tracker
from fer_core.inference.video import Video, video_writer
from fer_core.plugins import Entry, Plugin, load_plugins
from PIL import Image

pytest.importorskip("av", reason="videos need PyAV")
WIDTH, HEIGHT, SIDE, RATE = 160, 120, 32, 10
LONG = 3000
"""Frames of a long video."""
FRAME = WIDTH * HEIGHT * 3 / 1024
"""Kilobytes of a frame."""
WEIGHED: list[int] = []
"""Kilobytes of the process, from time to time."""


class Bright:
    """Finds a face where the red channel is high in the left half of the frame, and in the right half another."""

    def detect(self, images):
        return [[face for half in (0, 1) for face in self._face(image, half * WIDTH // 2)] for image in images]

    def _face(self, image, left):
        rows, columns = np.nonzero(image[:, left : left + WIDTH // 2, 0] > 140)
        if len(rows) < 50:
            return []
        box = (float(columns.min() + left), float(rows.min()), float(columns.max() + left), float(rows.max()))
        return [Detection(box=box, score=0.9)]


def frame(number: int) -> np.ndarray:
    """A dark frame with a face that moves down on the left, and from frame 10 on one on the right."""
    image = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    image[2 * number : 2 * number + SIDE, 20 : 20 + SIDE] = (200, 60, 60)
    if number >= 10:
        image[50 : 50 + SIDE, 110 : 110 + SIDE] = (220, 220, 220)
    return image


def write(path: Path, frames: int = 30) -> Path:
    with video_writer(path) as add:
        for number in range(frames):
            add(Image.fromarray(frame(number)), number / RATE)
    return path


@pytest.fixture
def weights(tiny, quick, monkeypatch) -> Path:
    entry = Entry("bright", Bright, Plugin("tests", "fer-tests", "0"))
    monkeypatch.setitem(load_plugins().entries, "detectors", {"bright": [entry]})
    return fer_core.train("tiny", "bars", device="cpu", **quick | {"train": {"steps": 2}}).checkpoint


def fer_run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def rows(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_faces_keep_their_numbers_and_the_video_is_drawn(weights) -> None:
    clip = write(Path("clip.mp4"))
    arguments = ("--csv", "frames.csv", "--tracks", "tracks.csv", "--draw", "marked.mp4")
    result = fer_run("track", clip, "-m", weights, *arguments)
    assert result.exit_code == 0, result.output
    table = rows("frames.csv")
    assert [row["track"] for row in table] == ["1"] * 10 + ["1", "2"] * 20
    assert float(table[-1]["time"]) == pytest.approx(2.9)
    assert float(table[10]["top"]) == pytest.approx(20, abs=2)
    intervals = rows("tracks.csv")
    assert {row["track"] for row in intervals} == {"1", "2"}
    assert sum(int(row["frames"]) for row in intervals) == 50
    assert result.stdout.startswith("face 1  0.00-")
    drawn = list(Video(Path("marked.mp4")).frames(None))
    assert [each.time for each in drawn] == pytest.approx([number / RATE for number in range(30)], abs=1e-3)
    marked = drawn[5].pixels.astype(int)
    assert np.abs(marked - frame(5)).max() > 100
    assert np.abs(marked[100:, :10] - 40).max() < 12


def test_fewer_frames_a_second_can_be_looked_at(weights) -> None:
    assert fer_run("track", write(Path("clip.mp4")), "-m", weights, "--fps", "2", "--csv", "f.csv").exit_code == 0
    assert sorted({float(row["time"]) for row in rows("f.csv")}) == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5])


def test_a_video_without_faces_says_so_and_one_that_is_cut_off_gives_what_it_has(weights) -> None:
    with video_writer(Path("dark.mp4")) as add:
        add(Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)), 0.0)
    assert fer_run("track", "dark.mp4", "-m", weights).stdout == "no face in 1 frames\n"
    import av

    with av.open("clip.mkv", "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(40):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame(min(number, 30)), format="rgb24")))
        container.mux(stream.encode())
    assert fer_run("track", "clip.mkv", "-m", weights).exit_code == 0
    content = Path("clip.mkv").read_bytes()
    Path("clip.mkv").write_bytes(content[: len(content) // 2])
    result = fer_run("track", "clip.mkv", "-m", weights, "--csv", "frames.csv")
    assert result.exit_code == 1
    assert "clip.mkv ends after" in result.stderr.splitlines()[-1]
    assert 5 < len({row["time"] for row in rows("frames.csv")}) < 40


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [("absent.mp4", None, "cannot read absent.mp4"), ("text.mp4", b"hello" * 50, "cannot read text.mp4")],
)
def test_what_is_no_video_is_one_line(weights, name, content, words) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    result = fer_run("track", name, "-m", weights, "--csv", "frames.csv")
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr.splitlines()[-1]
    assert not Path("frames.csv").exists()


class Watched(Bright):
    """Sends the program Ctrl-C when it has seen some frames."""

    def __init__(self, *, frames: int = 10**9) -> None:
        self.left = frames

    def detect(self, images):
        assert len(images) == 1  # each frame is looked at when it comes
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return super().detect(images)


@pytest.fixture
def red_wall(weights, monkeypatch) -> None:
    """A camera that looks at a red wall for ever, with a detector that takes its two halves for faces."""
    import av

    if "lavfi" not in av.formats_available:
        pytest.skip("needs FFmpeg's generated videos in the place of a camera")
    monkeypatch.setitem(video.CAMERAS, sys.platform, ("lavfi", "color=c=red:size=160x120:rate=10"))
    entry = Entry("watched", Watched, Plugin("tests", "fer-tests", "0"))
    monkeypatch.setitem(load_plugins().entries["detectors"], "watched", [entry])


def test_a_camera_is_watched_for_as_long_as_is_asked(weights, red_wall) -> None:
    arguments = ("--seconds", "1.5", "--detect", "watched", "--csv", "frames.csv", "--draw", "marked.mp4")
    result = fer_run("track", "--camera", "0", "-m", weights, *arguments)
    assert result.exit_code == 0, result.output
    assert sorted({float(row["time"]) for row in rows("frames.csv")}) == pytest.approx(np.arange(15) / 10)
    assert [line.split()[:4] for line in result.stdout.splitlines()] == [
        ["face", each, "0.00-1.40", "s"] for each in "12"
    ]
    told = [line for line in result.stderr.splitlines() if line.startswith("0.0 s  face ")]
    assert [line.split()[3] for line in told] == ["1", "2"]  # once, as their labels stay
    assert len(list(Video("marked.mp4").frames(None))) == 15


def test_ctrl_c_ends_the_camera_and_keeps_what_was_seen(weights, red_wall) -> None:
    before = signal.getsignal(signal.SIGINT)
    arguments = ("--detect", "watched", "-o", "detector.frames=7", "--csv", "frames.csv")
    result = fer_run("track", "--camera", "0", "-m", weights, *arguments)
    assert result.exit_code == 0, result.output
    assert len(rows("frames.csv")) == 14
    assert signal.getsignal(signal.SIGINT) is before


def test_seconds_of_a_file_are_no_damage(weights) -> None:
    result = fer_run("track", write(Path("clip.mp4")), "-m", weights, "--seconds", "1", "--csv", "f.csv")
    assert result.exit_code == 0, result.output
    assert max(float(row["time"]) for row in rows("f.csv")) == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--camera", "93"], "cannot open the camera"),
        ([], "name one source: a video, or a camera by --camera 0"),
        (["clip.mp4", "--camera", "0"], "name one source"),
    ],
)
def test_no_camera_is_one_line(weights, monkeypatch, arguments, words) -> None:
    monkeypatch.setitem(video.CAMERAS, sys.platform, video.CAMERAS["linux"])
    result = fer_run("track", *arguments, "-m", weights)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr.splitlines()[-1]
    assert result.stderr.count("\n") == 1


class Weighing(Bright):
    """Notes the memory of the process whenever it sees frames."""

    def __init__(self) -> None:
        WEIGHED.clear()

    def detect(self, images):
        status = Path("/proc/self/status").read_text()
        WEIGHED.append(int(status.split("VmRSS:")[1].split()[0]))
        return super().detect(images)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_length_of_a_video(weights, monkeypatch) -> None:
    entry = Entry("weighing", Weighing, Plugin("tests", "fer-tests", "0"))
    monkeypatch.setitem(load_plugins().entries["detectors"], "weighing", [entry])
    with video_writer(Path("long.mp4")) as add:
        for number in range(LONG):
            add(Image.fromarray(frame(number % 30)), number / RATE)
    files = ("--csv", "frames.csv", "--tracks", "tracks.csv", "--draw", "marked.mp4")
    result = fer_run("track", "long.mp4", "-m", weights, "--detect", "weighing", *files)
    assert result.exit_code == 0, result.output
    assert len({row["time"] for row in rows("frames.csv")}) == LONG
    early, late = WEIGHED[len(WEIGHED) // 4], max(WEIGHED[len(WEIGHED) // 2 :])
    assert late - early < FRAME * LONG / 4 / 10  # kilobytes; a frame that is kept in every ten would be more


def face(left: float, happy: float) -> Face:
    box = (left, 0.0, left + 10, 10.0)
    return Face("clip", "", 0.0, {"happy": happy, "sad": 1 - happy}, 1, Detection(box=box, score=1.0))


def test_labels_follow_smoothly_and_in_a_few_frames() -> None:
    tracker = Tracker(smooth=0.25)
    shown = [tracker.follow(0.1 * number, [face(0, 1.0 if number < 10 else 0.0)])[0] for number in range(20)]
    assert [each.label for each in shown] == ["happy"] * 12 + ["sad"] * 8  # half after 0.25 s
    first, second = tracker.intervals()
    assert (first.label, first.frames, second.label, second.frames) == ("happy", 12, "sad", 8)
    assert (first.begin, first.end) == (0, pytest.approx(1.1))
    flicker = Tracker(smooth=0.5)
    for number in range(20):
        flicker.follow(0.1 * number, [face(0, 0.2 if number == 10 else 0.9)])
    assert len(flicker.intervals()) == 1
    raw = Tracker(smooth=0)
    for number in range(20):
        raw.follow(0.1 * number, [face(0, 0.2 if number == 10 else 0.9)])
    assert [each.frames for each in raw.intervals()] == [10, 1, 9]


def test_a_face_that_was_away_for_long_is_another_and_two_do_not_swap() -> None:
    tracker = Tracker(smooth=0)
    assert [each.number for each in tracker.follow(0.0, [face(0, 1), face(40, 1)])] == [1, 2]
    moved = tracker.follow(0.1, [face(42, 1), face(3, 1)])
    assert [(each.number, each.detection.box[0]) for each in moved] == [(1, 3), (2, 42)]
    assert [each.number for each in tracker.follow(0.9, [face(42, 1)])] == [2]
    assert [each.number for each in tracker.follow(1.5, [face(3, 1), face(42, 1)])] == [2, 3]
