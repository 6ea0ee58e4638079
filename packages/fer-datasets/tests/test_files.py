"""Reading pictures: every way in which a file can be bad is one line that names it."""

import io
import os

import numpy as np
import pytest
from fer_core.errors import FerError
from fer_datasets import files
from fer_datasets.files import decode_image, hash_files, images_in, safe_relative
from PIL import Image


def png_bytes(mode="RGB", size=(6, 4)):
    stream = io.BytesIO()
    Image.new(mode, size).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("L", 1), ("1", 1), ("LA", 1), ("P", 3), ("RGBA", 3)])
def test_shape_follows_the_mode(tmp_path, mode, channels):
    (tmp_path / "a.png").write_bytes(png_bytes(mode))
    image = decode_image(tmp_path / "a.png")
    assert image.shape == (4, 6, channels)
    assert image.dtype == np.uint8


def test_channels_are_rgb(tmp_path):
    Image.new("RGB", (2, 2), (255, 10, 0)).save(tmp_path / "a.png")
    assert decode_image(tmp_path / "a.png")[0, 0].tolist() == [255, 10, 0]


def test_exif_rotation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg", exif=exif)
    assert decode_image(tmp_path / "a.jpg").shape == (40, 20, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is missing"),
        (b"", r"is empty \(0 bytes\)"),
        (b"not a picture at all", "cannot read the image"),
        (png_bytes()[:45], "cannot read the image"),
        (b"\xff\xd8\xff\xe0" + bytes(50), "cannot read the image"),
    ],
)
def test_bad_file(tmp_path, content, message):
    path = tmp_path / "face.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FerError, match=message) as caught:
        decode_image(path)
    assert "face.png" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_truncated_jpeg_is_refused_not_padded(tmp_path):
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 80, 3), np.uint8)).save(stream, "JPEG")
    (tmp_path / "half.jpg").write_bytes(stream.getvalue()[: stream.tell() // 2])
    with pytest.raises(FerError, match=r"half\.jpg.*truncated"):
        decode_image(tmp_path / "half.jpg")


def test_large_picture_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    (tmp_path / "bomb.png").write_bytes(png_bytes("1", (10_000, 6_000)))
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("decoded"))
    with pytest.raises(FerError, match=r"bomb\.png has 10000 x 6000 pixels, over the limit of 50 million"):
        decode_image(tmp_path / "bomb.png")


def test_sixteen_bits_are_refused(tmp_path):
    Image.fromarray(np.full((4, 4), 5000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(FerError, match=r"deep\.png has more than 8 bits"):
        decode_image(tmp_path / "deep.png")


@pytest.mark.parametrize(
    "text", ["", " ", "/etc/passwd", "../a.png", "a/../../b.png", "C:\\a.png", "a\\..\\b.png"]
)
def test_paths_that_leave_the_folder(text):
    with pytest.raises(FerError, match="row 7"):
        safe_relative(text, "labels.csv, row 7")


def test_paths_below_the_folder():
    assert safe_relative("a/b c.png", "") == "a/b c.png"
    assert safe_relative("a\\b.png", "") == "a/b.png"
    assert safe_relative("./a..b.png", "") == "a..b.png"


def test_hidden_files_and_other_suffixes_are_no_images(tmp_path):
    for name in ("b.JPG", "a.png", ".DS_Store", "._a.png", "notes.txt", "Thumbs.db"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in images_in(tmp_path)] == ["a.png", "b.JPG"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_is_no_image_and_nobody_waits_for_it(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    for read in (decode_image, lambda path: hash_files([path])):
        with pytest.raises(FerError, match=r"a.png"):
            read(tmp_path / "a.png")


def test_hash_is_that_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.hash_files([tmp_path / "a"]) == [expected]
