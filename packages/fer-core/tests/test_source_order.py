"""Sources become images in the order in which they are named, once for every time they are named."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fer_core import FerError
from fer_core.inference import sources
from fer_core.inference.sources import ImageFile, find_images, read_images
from PIL import Image


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """`in` holds images at three depths; the red value of each is its number."""
    monkeypatch.chdir(tmp_path)
    names = ("in/b.png", "in/a.PNG", "in/deep/c.bmp", "in/deep/er/d.jpeg", "in/z.png/e.png", "f.dat")
    for number, name in enumerate(names):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 6, 3), 10 * number, np.uint8)).save(name, "PNG")
    for name in ("in/notes.txt", "in/.hidden.png", "in/._a.png", "in/png"):
        Path(name).touch()
    return tmp_path


def names(place: str | Path) -> list[str]:
    return [file.path.as_posix() for file in find_images(place)]


def test_a_folder_is_searched_at_every_depth_and_sorted(folder) -> None:
    assert names("in") == ["in/a.PNG", "in/b.png", "in/deep/c.bmp", "in/deep/er/d.jpeg", "in/z.png/e.png"]
    below = [file.below.as_posix() for file in find_images(folder / "in")]
    assert below == ["a.PNG", "b.png", "deep/c.bmp", "deep/er/d.jpeg", "z.png/e.png"]
    assert find_images("in/deep/c.bmp") == [ImageFile(Path("in/deep/c.bmp"), Path("c.bmp"))]
    assert names("f.dat") == ["f.dat"]  # whoever names a file means it
    assert names("in/notes.txt") == ["in/notes.txt"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("in/*.png", ["in/b.png"]),  # the folder z.png is none
        ("in/?.*", ["in/a.PNG", "in/b.png"]),
        ("in/[!a].png", ["in/b.png"]),
        ("in/*/*.bmp", ["in/deep/c.bmp"]),
        ("**/*.[bj]*", ["in/deep/c.bmp", "in/deep/er/d.jpeg"]),
        ("in/deep/**", ["in/deep/c.bmp", "in/deep/er/d.jpeg"]),
    ],
)
def test_a_pattern_means_the_images_that_it_matches(folder, pattern, found) -> None:
    assert names(pattern) == found
    assert all(file.below == Path(file.path.name) for file in find_images(pattern))


def test_matches_are_sorted_in_whatever_order_the_system_lists_them(folder, monkeypatch) -> None:
    listed = ["in/z.png/e.png", "in/a.PNG", "in/deep/c.bmp"]
    monkeypatch.setattr("glob.glob", lambda pattern, *, recursive: listed)
    assert names("in/**") == sorted(listed)


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("absent.png", "absent.png does not exist: name an image, a folder of images, or a pattern in quotes"),
        ("in/*.txt", "in/*.txt matches no image: expected files ending in .bmp, .gif, .jpeg, .jpg, "),
        ("nothing", "nothing holds no image: expected files ending in .bmp"),
        ("some.safetensors", "some.safetensors is a weight file, not an image: name it with -m some.safetensors"),
        ("run", "run is a run folder, not an image: name it with -m run"),
    ],
)
def test_what_means_no_image_says_what_to_name(folder, place, says) -> None:
    Path("nothing").mkdir()
    Path("run").mkdir()
    Path("run/best.safetensors").touch()
    Path("some.safetensors").touch()
    with pytest.raises(FerError) as error:
        find_images(place)
    assert str(error.value).startswith(says)


def test_a_link_that_leads_nowhere_is_an_image_that_cannot_be_read(folder) -> None:
    Path("in/lost.png").symlink_to("nowhere.png")
    assert "in/lost.png" in names("in")
    for place in ("in/lost.png", "in/lost*"):
        (photo,) = read_images([place])
        assert isinstance(photo.pixels, FerError)
        assert "in/lost.png" in str(photo.pixels)


def reds(*given: object) -> list[tuple[str, object]]:
    return [
        (photo.name, str(photo.pixels) if isinstance(photo.pixels, FerError) else int(photo.pixels[0, 0, 0]))
        for photo in read_images(given)
    ]


@pytest.mark.parametrize("ahead", [sources.AHEAD, 24, 30, 1])
def test_images_come_in_the_order_and_as_often_as_they_are_named(folder, monkeypatch, ahead) -> None:
    monkeypatch.setattr(sources, "AHEAD", ahead)
    monkeypatch.setattr(sources, "AHEAD_IMAGES", 2 if ahead == 30 else 128)
    Path("in/deep/empty.png").touch()
    found = reds("in/b.png", ["in/deep", ("f.dat",)], Path("in/b.png"), "in/?.png")
    assert [name for name, _ in found] == [
        *("in/b.png", "in/deep/c.bmp", "in/deep/empty.png", "in/deep/er/d.jpeg", "f.dat", "in/b.png", "in/b.png"),
    ]
    assert found[2][1].startswith("cannot read in/deep/empty.png: ")
    assert [red for _, red in found if isinstance(red, int)] == [0, 20, 30, 50, 0, 0]


def test_images_in_memory_are_numbered_among_all_sources(folder) -> None:
    array = np.full((4, 6, 3), 7, np.uint8)
    batch = torch.arange(2, dtype=torch.uint8)[:, None, None, None].expand(2, 3, 4, 6)
    content = Path("in/deep/c.bmp").read_bytes()
    assert reds(array, "in/b.png", [batch, content], Image.fromarray(array[..., 0]), b"text") == [
        ("image 0", 7),
        ("in/b.png", 0),
        ("image 2[0]", 0),
        ("image 2[1]", 1),
        ("image 3", 20),
        ("image 4", 7),
        ("image 5", reds(b"text")[0][1].replace("image 0", "image 5")),
    ]
    with pytest.raises(FerError, match="image 1 is a int, which is not an image"):
        reds(array, 3)


def test_standard_input_is_one_image_in_its_place(folder, monkeypatch) -> None:
    content = Path("in/deep/c.bmp").read_bytes()
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    assert reds("in/b.png", "-", "f.dat") == [("in/b.png", 0), ("standard input", 20), ("f.dat", 50)]
    assert find_images("-")[0].below == Path("standard-input")
    ((name, error),) = reds("-")  # it has been read
    assert name == "standard input"
    assert error.startswith("cannot read standard input: it is empty")


def test_who_stops_early_leaves_no_threads_and_reads_no_further(folder, monkeypatch) -> None:
    monkeypatch.setattr(sources, "AHEAD_IMAGES", 2)
    opened = []

    def endless():
        for number in range(10_000):
            opened.append(number)
            yield "in/b.png"

    before = threading.active_count()
    stream = read_images(endless())
    assert [next(stream).name for _ in range(3)] == ["in/b.png"] * 3
    stream.close()
    assert threading.active_count() == before
    assert len(opened) <= 6
