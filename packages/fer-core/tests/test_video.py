"""Frames of videos: which ones are looked at, upright, and how a file that ends early is told from a whole one."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fer_core.errors import FerError
from fer_core.inference.video import Video, camera, video_writer
from PIL import Image

WIDTH, HEIGHT = 64, 48


@pytest.fixture
def av():
    return pytest.importorskip("av", reason="videos need PyAV")


def grey(value: int) -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), value, np.uint8)


def write(path: Path, times: list[float]) -> Path:
    """Frames that get lighter by 4 each."""
    with video_writer(path) as add:
        for number, time in enumerate(times):
            add(Image.fromarray(grey(40 + 4 * number)), time)
    return path


def encode(av, path: Path, rate: Fraction, frames: int, sound: float = 0, begin: float = 0) -> Path:
    """A file with a picture track, unless there are no frames, and seconds of silence."""
    with av.open(str(path), "w", options={"output_ts_offset": str(begin)}) as container:
        options = {"width": WIDTH, "height": HEIGHT, "pix_fmt": "yuv420p"}
        stream = container.add_stream("mpeg4", rate=rate, **options) if frames else None
        audio = container.add_stream("aac", rate=16000) if sound else None
        for number in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey(number * 3), format="rgb24")))
        if stream is not None:
            container.mux(stream.encode())
        for number in range(int(sound * 16000 / 1024)):
            silence = np.zeros((1, 1024), np.float32)
            part = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
            part.sample_rate, part.pts = 16000, 1024 * number
            container.mux(audio.encode(part))
        if audio is not None:
            container.mux(audio.encode())
    return path


def test_what_is_written_is_read_again_at_its_times(av, tmp_path) -> None:
    times = [0.0, 0.04, 0.1, 0.5, 0.533, 1.2]
    video = Video(write(tmp_path / "clip.mp4", times))
    frames = list(video.frames(None))
    assert [frame.time for frame in frames] == pytest.approx(times, abs=1e-3)
    for number, frame in enumerate(frames):
        assert frame.pixels.shape == (HEIGHT, WIDTH, 3)
        assert np.abs(frame.pixels.astype(int) - (40 + 4 * number)).max() <= 3
    assert frames[3].name == f"{tmp_path / 'clip.mp4'} 0.500 s"
    assert frames[3].below == Path("clip.mp4")
    assert video.problem == ""


@pytest.mark.parametrize("fps", [1, 2.5, 10, 24, 25, 100])
def test_of_each_part_of_a_second_the_first_frame_is_looked_at(av, tmp_path, fps) -> None:
    all_times = np.arange(50) / 25
    frames = Video(write(tmp_path / "clip.mp4", all_times.tolist())).frames(fps)
    part = np.floor(all_times * fps + 1e-4)
    expected = all_times[np.append(True, np.diff(part) > 0)]
    assert [frame.time for frame in frames] == pytest.approx(expected, abs=1e-3)


def test_a_pause_is_no_reason_to_look_at_more_frames_after_it(av, tmp_path) -> None:
    path = write(tmp_path / "clip.mp4", [0.0, 0.1, 0.2, 2.6, 2.7, 2.9, 3.05, 3.1])
    assert [frame.time for frame in Video(path).frames(1)] == pytest.approx([0, 2.6, 3.05], abs=1e-3)


def test_times_count_from_the_first_frame(av, tmp_path) -> None:
    path = encode(av, tmp_path / "clip.ts", Fraction(2), 4, begin=7)
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).time == pytest.approx(7)
    video = Video(path)
    assert [frame.time for frame in video.frames(None)] == pytest.approx([0, 0.5, 1, 1.5])
    assert [frame.time for frame in video.frames(1)] == pytest.approx([0, 1])
    assert video.problem == ""


def test_a_film_of_a_telephone_that_was_held_upright_is_upright(av, tmp_path) -> None:
    corner = grey(30)
    corner[:12, :20] = 230
    with video_writer(tmp_path / "clip.mp4") as add:
        add(Image.fromarray(corner), 0.0)
    content = (tmp_path / "clip.mp4").read_bytes()
    one, none, minus = (np.array(value, ">i4").tobytes() for value in (1 << 16, 0, -(1 << 16)))
    last = np.array(1 << 30, ">i4").tobytes()
    straight = one + none * 3 + one + none * 3 + last
    turned = none + one + none + minus + none * 4 + last  # by a quarter, clockwise
    head, found, tail = content.rpartition(straight)
    assert found
    (tmp_path / "turned.mp4").write_bytes(head + turned + tail)
    (frame,) = Video(tmp_path / "turned.mp4").frames(None)
    assert frame.pixels.shape == (WIDTH, HEIGHT, 3)
    assert frame.pixels.flags.c_contiguous
    light = frame.pixels.max(axis=2) > 130
    assert light[:20, -12:].mean() > 0.9  # right above
    assert light.sum() < 12 * 20 * 1.2


def test_odd_sides_lose_a_pixel_on_the_right_and_below(av, tmp_path) -> None:
    image = np.full((HEIGHT + 1, WIDTH + 1, 3), (90, 30, 60), np.uint8)
    image[-1] = image[:, -1] = 250
    with video_writer(tmp_path / "clip.mp4") as add:
        add(Image.fromarray(image), 0.0)
    (frame,) = Video(tmp_path / "clip.mp4").frames(None)
    assert frame.pixels.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(frame.pixels.astype(int) - (90, 30, 60)).max() <= 5


def test_a_video_that_is_not_finished_leaves_the_one_before(av, tmp_path) -> None:
    path = write(tmp_path / "clip.mp4", [0.0, 0.1])
    before = path.read_bytes()

    def fail() -> None:
        with video_writer(path) as add:
            add(Image.fromarray(grey(99)), 0.0)
            raise FerError("no memory")

    with pytest.raises(FerError, match="no memory"):
        fail()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_frames_that_are_seconds_apart_are_a_whole_video(av, tmp_path, name) -> None:
    video = Video(encode(av, tmp_path / name, Fraction(1, 3), 4))
    assert [frame.time for frame in video.frames(None)] == pytest.approx([0, 3, 6, 9])
    assert video.problem == ""


def test_sound_that_goes_on_is_no_video_that_was_cut_off(av, tmp_path) -> None:
    video = Video(encode(av, tmp_path / "clip.mp4", Fraction(10), 10, sound=4))
    assert len(list(video.frames(None))) == 10
    assert video.problem == ""


def test_a_file_that_was_cut_off_gives_what_it_has_and_says_when_it_ended(av, tmp_path) -> None:
    path = encode(av, tmp_path / "clip.mkv", Fraction(10), 60)
    video = Video(path)
    assert len(list(video.frames(None))) == 60
    assert video.problem == ""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    cut = Video(path)
    frames = list(cut.frames(None))
    assert 10 < len(frames) < 50
    assert cut.problem == f"{path} ends after {frames[-1].time + 0.1:.1f} of 6.0 s: it was cut off"
    sampled = Video(path)
    assert len(list(sampled.frames(2))) < len(frames) / 3
    assert sampled.problem == cut.problem  # also where the last frames are not looked at


def test_sound_alone_is_no_video(av, tmp_path) -> None:
    path = encode(av, tmp_path / "song.mp4", Fraction(10), 0, sound=1)
    with pytest.raises(FerError, match=r"song\.mp4 has no video: name a video"):
        next(Video(path).frames(None))


def test_without_pyav_the_message_says_what_to_install(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(FerError, match=r"videos need PyAV: pip install 'fer-core\[video\]'"):
        next(Video(tmp_path / "clip.mp4").frames(None))
    with (
        pytest.raises(FerError, match=r"pip install 'fer-core\[video\]'"),
        video_writer(tmp_path / "clip.mp4"),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_cameras_of_windows_are_told_by_their_names(av, monkeypatch) -> None:
    devices = [("Microphone", ["audio"]), ("Front", ["video"]), ("USB", ["video", "audio"])]
    found = [SimpleNamespace(name=name, media_types=types) for name, types in devices]
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(av, "enumerate_input_devices", {"dshow": found}.get, raising=False)
    second = camera(1, 5.0)
    assert (second.source, second.device, second.seconds) == ("video=USB", "dshow", 5.0)
    with pytest.raises(FerError, match="there is no camera 2, but 2 in all"):
        camera(2, None)
    monkeypatch.delattr(av, "enumerate_input_devices")
    with pytest.raises(FerError, match="pip install --upgrade av"):
        camera(0, None)
    monkeypatch.setattr(sys, "platform", "aix")
    with pytest.raises(FerError, match="no cameras on aix: record a video"):
        camera(0, None)
