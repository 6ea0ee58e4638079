"""Sources of prediction: what a path means, and that images decoded ahead are bounded and in order."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import numpy as np
import pytest
from fer_core.errors import FerError
from fer_core.inference import sources
from fer_core.inference.answer import groups
from fer_core.inference.sources import Photo, find_images, read_images
from PIL import Image


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Twelve images of 20 x 10 pixels whose tone is their number."""
    monkeypatch.chdir(tmp_path)
    for number in range(12):
        path = Path("in", f"{number % 3}", f"{number:02d}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 10), (number, 0, 0)).save(path)
    return Path("in")


def test_a_path_means_its_images_sorted_with_their_place_below_it(folder) -> None:
    below = [file.below.as_posix() for file in find_images(folder)]
    assert below == sorted(f"{number % 3}/{number:02d}.png" for number in range(12))
    (one,) = find_images(folder / "0/03.png")
    assert one.below == Path("03.png")
    assert [file.below.name for file in find_images("in/1/*")] == ["01.png", "04.png", "07.png", "10.png"]
    for place, words in (("absent.png", "does not exist"), ("in/*.gif", "matches no image")):
        with pytest.raises(FerError, match=words):
            find_images(place)


@pytest.mark.parametrize("ahead", [1, 500, 10**9])
def test_images_come_in_order_however_many_are_decoded_ahead(folder, monkeypatch, ahead) -> None:
    monkeypatch.setattr(sources, "AHEAD", ahead)
    photos = list(read_images(sorted(folder.rglob("*.png"), key=lambda path: path.name)))
    assert [int(photo.pixels[0, 0, 0]) for photo in photos] == list(range(12))


@pytest.mark.parametrize(("ahead", "most"), [(1, 1), (400, 2), (1000, 5)])
def test_no_more_pixels_are_decoded_ahead_than_allowed(folder, monkeypatch, ahead, most) -> None:
    begun, taken, lock, peak = 0, 0, threading.Lock(), 0
    decode = sources.decode_image

    def counted(path):
        nonlocal begun, peak
        with lock:
            begun += 1
            peak = max(peak, begun - taken)
        return decode(path)

    monkeypatch.setattr(sources, "AHEAD", ahead)
    monkeypatch.setattr(sources, "decode_image", counted)
    for _ in read_images([folder]):
        with lock:
            taken += 1
    assert (begun, taken) == (12, 12)
    assert peak <= most + 1  # and the one that the reader holds


def test_what_cannot_be_read_keeps_its_place(folder) -> None:
    (folder / "1/04.png").write_bytes(b"")
    photos = list(read_images([folder, b"no image", np.zeros((4, 5), np.uint8)]))
    assert [isinstance(photo.pixels, FerError) for photo in photos].index(True) == 5
    assert "1/04.png" in str(photos[5].pixels)
    assert "cannot read image 1" in str(photos[12].pixels)
    assert photos[13].pixels.shape == (4, 5, 1)


def test_standard_input_is_an_image(folder, monkeypatch) -> None:
    given = io.TextIOWrapper(io.BytesIO((folder / "0/03.png").read_bytes()))
    monkeypatch.setattr("sys.stdin", given)
    (photo,) = read_images(["-"])
    assert (photo.name, int(photo.pixels[0, 0, 0])) == ("standard input", 3)


def test_images_that_are_looked_at_together_are_bounded() -> None:
    def photos(count: int, side: int):
        pixels = np.zeros((side, side, 1), np.uint8)
        return iter([Photo("a", Path("a"), pixels)] * count)

    assert [len(group) for group in groups(photos(150, 8))] == [64, 64, 22]
    assert [len(group) for group in groups(photos(5, 2000))] == [2, 2, 1]  # 4 million pixels each
    assert [len(group) for group in groups(photos(3, 4000))] == [1, 1, 1]
    assert list(groups(photos(0, 8))) == []
