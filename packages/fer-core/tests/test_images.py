"""The image decoder: what it makes of every kind of image, and one line for every file that it cannot read."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from fer_core.data.images import FORMATS, MAX_BYTES, decode_image, image_names, image_size
from fer_core.errors import FerError
from PIL import Image, ImageOps

RGB = np.asarray(
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((40, 30))
)
GREY = np.asarray(Image.fromarray(RGB).convert("L"))
DEEP = GREY.astype(np.uint16) * 257


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def read(path: Path, content: bytes, **options: bool) -> np.ndarray:
    path.write_bytes(content)
    return decode_image(path, **options)


def failure(path: Path) -> str:
    """The one line about a file that cannot be read."""
    with pytest.raises(FerError) as caught:
        decode_image(path)
    line = str(caught.value)
    assert line.startswith(f"cannot read {path}: ")
    assert "\n" not in line
    assert not caught.value.details
    return line.removeprefix(f"cannot read {path}: ")


def png_16(pixels: np.ndarray, colour_type: int) -> bytes:
    """A PNG of 16 bits a channel, which Pillow writes of grey images only."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", *pixels.shape[1::-1], 16, colour_type, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels))),
        (b"IEND", b""),
    ]
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("format", FORMATS)
def test_colour_and_grey_of_8_bits_are_what_pillow_gives(tmp_path, format) -> None:
    for source in (RGB, GREY):
        content = encoded(Image.fromarray(source), format)
        with Image.open(io.BytesIO(content)) as image:
            expected = np.asarray(image.convert("RGB"))
        pixels = read(tmp_path / "a.png", content)  # the name's ending does not count
        assert pixels.dtype == np.uint8
        assert pixels.flags.writeable
        assert np.array_equal(pixels, expected)
        kept = decode_image(tmp_path / "a.png", keep_grey=True)
        if source is GREY and format in ("JPEG", "PNG", "BMP", "TIFF"):
            assert np.array_equal(kept, expected[:, :, :1])
        else:
            assert np.array_equal(kept, expected)


DEEP_FILES = {
    "PNG, 16 bits": encoded(Image.fromarray(DEEP), "PNG"),
    "TIFF, 16 bits": encoded(Image.fromarray(DEEP), "TIFF"),
    "TIFF, 16 bits, compressed": encoded(Image.fromarray(DEEP), "TIFF", compression="tiff_lzw"),
    "TIFF, 16 bits, big-endian": encoded(Image.fromarray(DEEP.astype(">u2")), "TIFF"),
    "TIFF, big-endian, compressed": encoded(Image.fromarray(DEEP.astype(">u2")), "TIFF", compression="packbits"),
    "TIFF, 32 bits that hold 16": encoded(Image.fromarray(DEEP.astype(np.int32)), "TIFF"),
    "TIFF, 0 is white": encoded(Image.fromarray(65535 - DEEP), "TIFF", tiffinfo={262: 0}),
}


@pytest.mark.parametrize("content", DEEP_FILES.values(), ids=list(DEEP_FILES))
def test_16_bits_of_grey_are_as_bright_as_8(tmp_path, content) -> None:
    pixels = read(tmp_path / "a.png", content, keep_grey=True)
    assert pixels.shape == (30, 40, 1)
    assert abs(pixels[:, :, 0].mean() - GREY.mean()) < 1
    assert np.array_equal(decode_image(tmp_path / "a.png"), np.repeat(pixels, 3, axis=2))


def test_12_bits_of_grey_are_as_bright_as_8(tmp_path) -> None:
    twelve = GREY.astype(np.uint16) << 4
    first, second = twelve[:, ::2], twelve[:, 1::2]
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=2).astype(np.uint8)
    content = encoded(Image.fromarray(packed.reshape(30, 60)), "TIFF")
    for tag, kind, before, after in ((256, 4, 60, 40), (258, 3, 8, 12)):  # width, and bits a pixel
        content = content.replace(
            struct.pack("<HHII", tag, kind, 1, before), struct.pack("<HHII", tag, kind, 1, after)
        )
    assert np.array_equal(read(tmp_path / "a.tif", content, keep_grey=True)[:, :, 0], GREY)


def test_16_bits_of_colour_are_as_bright_as_8(tmp_path) -> None:
    opaque = np.full((30, 40, 1), 65535, dtype=np.uint16)
    assert np.array_equal(read(tmp_path / "a.png", png_16(RGB.astype(np.uint16) * 257, 2)), RGB)
    deep = np.concatenate([RGB.astype(np.uint16) * 257, opaque], axis=2)
    assert np.array_equal(read(tmp_path / "a.png", png_16(deep, 6)), RGB)


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (GREY.astype(np.float32), "its pixels are floats, whose range is unknown"),
        (GREY.astype(np.int32), "its pixels are integers from"),
        (DEEP.astype(np.int32) - 70_000, "its pixels are integers from -"),
        (DEEP.astype(np.int32) * 9, "whose range is unknown"),
    ],
)
def test_pixels_of_unknown_range_are_rejected(tmp_path, pixels, words) -> None:
    (tmp_path / "a.tif").write_bytes(encoded(Image.fromarray(pixels), "TIFF"))
    line = failure(tmp_path / "a.tif")
    assert words in line
    assert line.endswith("convert it to 8 bits a channel")


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_has_the_colours_of_its_twin(tmp_path, format) -> None:
    """A JPEG holds CMYK inverted, as Adobe's programs write it."""
    pixels = read(tmp_path / "a", encoded(Image.fromarray(RGB).convert("CMYK"), format))
    assert np.abs(pixels.mean(axis=(0, 1)) - RGB.mean(axis=(0, 1))).max() < 1


def test_palettes_and_single_bits(tmp_path) -> None:
    palette = Image.fromarray(RGB).quantize(16)
    assert np.array_equal(read(tmp_path / "a", encoded(palette, "PNG")), np.asarray(palette.convert("RGB")))
    bits = Image.fromarray(GREY > 100)
    expected = np.where(GREY > 100, 255, 0)[:, :, None]
    assert np.array_equal(read(tmp_path / "a", encoded(bits, "PNG"), keep_grey=True), expected)


def test_transparency_is_composited_over_black(tmp_path) -> None:
    with_alpha = Image.fromarray(RGB)
    with_alpha.putalpha(Image.fromarray(GREY))
    expected = RGB * (GREY[:, :, None] / 255)
    contents = [
        encoded(with_alpha, "PNG"),
        encoded(with_alpha, "TIFF"),
        encoded(with_alpha, "WEBP", lossless=True, exact=True),
    ]
    for content in contents:
        assert np.abs(read(tmp_path / "a", content) - expected).max() <= 1
    grey = Image.fromarray(GREY)
    grey.putalpha(Image.fromarray(255 - GREY))
    pixels = read(tmp_path / "a", encoded(grey, "PNG"), keep_grey=True)
    assert np.abs(pixels[:, :, 0] - GREY * ((255 - GREY) / 255)).max() <= 1


def test_transparent_colours_are_black_and_others_kept(tmp_path) -> None:
    palette = Image.fromarray(RGB).quantize(16)
    index = np.asarray(palette)[0, 0]
    visible = np.asarray(palette) != index
    expected = np.asarray(palette.convert("RGB")) * visible[:, :, None]
    for content in (
        encoded(palette, "PNG", transparency=int(index)),
        encoded(palette, "GIF", transparency=int(index)),
    ):
        assert np.array_equal(read(tmp_path / "a", content), expected)
    alphas = bytes(0 if number == index else 255 for number in range(16))
    assert np.array_equal(read(tmp_path / "a", encoded(palette, "PNG", transparency=alphas)), expected)
    key = tuple(map(int, RGB[0, 0]))
    content = encoded(Image.fromarray(RGB), "PNG", transparency=key)
    assert np.array_equal(read(tmp_path / "a", content), RGB * (key != RGB).any(axis=2, keepdims=True))


def test_an_alpha_channel_of_zeros_is_unused(tmp_path) -> None:
    image = Image.fromarray(RGB)
    image.putalpha(0)
    assert np.array_equal(read(tmp_path / "a", encoded(image, "PNG")), RGB)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("value", range(10))
def test_exif_rotation_is_applied_as_pillow_does(tmp_path, format, value) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    content = encoded(Image.fromarray(RGB), format, exif=exif)
    with Image.open(io.BytesIO(content)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert np.array_equal(read(tmp_path / "a", content), expected)


def test_rotation_of_deep_and_transparent_images(tmp_path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = np.rot90(GREY, -1)
    assert np.array_equal(read(tmp_path / "a", encoded(Image.fromarray(DEEP), "PNG", exif=exif))[:, :, 0], upright)
    image = Image.fromarray(RGB)
    image.putalpha(255)
    assert np.array_equal(read(tmp_path / "a", encoded(image, "PNG", exif=exif)), np.rot90(RGB, -1))


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0", b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"]
)
def test_damaged_exif_does_not_cost_the_image(tmp_path, capfd, exif) -> None:
    for format in ("JPEG", "PNG", "WEBP"):
        content = encoded(Image.fromarray(RGB), format, exif=exif)
        assert read(tmp_path / "a", content).shape == RGB.shape
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_of_several_images_is_read(tmp_path, format) -> None:
    lossless = {"lossless": True} if format == "WEBP" else {}
    colours = [Image.new("RGB", (9, 7), colour) for colour in ("red", "blue")]
    content = encoded(colours[0], format, save_all=True, append_images=colours[1:], **lossless)
    assert np.array_equal(read(tmp_path / "a", content), np.asarray(colours[0]))


NOISE = Image.fromarray(np.random.default_rng(1).integers(0, 256, (60, 60, 3), dtype=np.uint8))
FOREIGN = {
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n": "it is PostScript, not a JPEG",
    b"\xc5\xd0\xd3\xc6" + bytes(40): "it is PostScript",
    b"%PDF-1.7\n": "it is PDF",
    b"PK\x03\x04" + bytes(40): "it is a ZIP archive",
    b'\xef\xbb\xbf <svg xmlns="http://www.w3.org/2000/svg"/>': "it is SVG",
    b'<?xml version="1.0"?><svg/>': "it is XML, such as SVG",
    b"\n<!DOCTYPE html><html>404": "it is a web page",
    b"version https://git-lfs.github.com/spec/v1\n": "it is a pointer of Git LFS",
    b"P6 1 1 255 \0\0\0": "it is not a JPEG, PNG, BMP, WebP, TIFF or GIF image",
    b"\x89PNG\r\n\x1a\nnot any more": "or its beginning is damaged",
}


@pytest.mark.parametrize(("content", "words"), FOREIGN.items())
def test_other_files_are_named_and_no_other_decoder_is_tried(tmp_path, monkeypatch, content, words) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a process was started"))
    (tmp_path / "a.png").write_bytes(content)
    line = failure(tmp_path / "a.png")
    assert words in line
    assert line.endswith(": replace it or leave it out")


@pytest.mark.parametrize("format", FORMATS)
def test_truncated_files_are_refused_not_padded(tmp_path, capfd, format) -> None:
    options = {"compression": "tiff_lzw"} if format == "TIFF" else {}
    content = encoded(NOISE, format, **options)
    for share in (0.2, 0.5, 0.9):
        (tmp_path / "a.jpg").write_bytes(content[: int(share * len(content))])
        failure(tmp_path / "a.jpg")
    assert capfd.readouterr().err == ""


def test_what_is_not_a_file_with_content(tmp_path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    (tmp_path / "nowhere.png").symlink_to(tmp_path / "gone.png")
    assert "it is empty (0 bytes)" in failure(tmp_path / "empty.png")
    assert "it is a folder" in failure(tmp_path / "folder.png")
    assert "symbolic links" in failure(tmp_path / "loop.png")
    for name in ("nowhere.png", "gone.png"):
        assert "it does not exist" in failure(tmp_path / name)
    with pytest.raises(FerError, match="null byte"):
        decode_image(Path("a\0.png"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_nobody_waits_for_a_named_pipe(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert "it is not a regular file" in failure(tmp_path / "pipe.png")
    assert "it is not a regular file" in failure(Path("/dev/zero"))


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((10_000, 6_000), "it has 10,000 x 6,000 pixels, over 50,000,000 in all or 32,768 a side"),
        ((32_769, 1), "it has 32,769 x 1 pixels"),
        ((10_000, 10_000), "it has 10,000 x 10,000 pixels"),  # Pillow warns
        ((20_000, 20_000), "it has over 50,000,000 pixels"),  # Pillow refuses
    ],
)
def test_large_images_are_refused_before_they_are_decoded(tmp_path, monkeypatch, capfd, size, words) -> None:
    header = png_16(np.zeros((1, 1), dtype=np.uint16), 0)
    ihdr = b"IHDR" + struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)
    (tmp_path / "a.png").write_bytes(header[:12] + ihdr + struct.pack(">I", zlib.crc32(ihdr)) + header[33:])
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("decoded"))
    line = failure(tmp_path / "a.png")
    assert words in line
    assert line.endswith(": scale it down")
    assert capfd.readouterr().err == ""


def test_large_files_text_bombs_and_endless_scans_are_refused(tmp_path, capfd) -> None:
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert "it has more than 256 MiB" in failure(tmp_path / "large.png")
    png = encoded(Image.new("L", (1, 1)), "PNG")
    text = b"zTXt" + b"key\0\0" + zlib.compress(bytes(64 << 20))
    bomb = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    (tmp_path / "text.png").write_bytes(png[:33] + bomb + png[33:])
    assert "too large" in failure(tmp_path / "text.png").lower()
    jpeg = encoded(Image.new("L", (2_000, 2_000)), "JPEG", progressive=True)
    last = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    (tmp_path / "scans.jpg").write_bytes(jpeg[:-2] + 500 * last + b"\xff\xd9")
    assert "scans of 2,000 x 2,000 pixels: save it again" in failure(tmp_path / "scans.jpg")
    (tmp_path / "usual.jpg").write_bytes(jpeg)
    assert decode_image(tmp_path / "usual.jpg").shape == (2_000, 2_000, 3)
    assert capfd.readouterr().err == ""


def test_altered_files_are_read_or_one_line(tmp_path, capfd) -> None:
    seeds = [encoded(NOISE.resize((16, 16)), format) for format in FORMATS]
    seeds += [encoded(NOISE.resize((16, 16)), "TIFF", compression=name) for name in ("tiff_lzw", "packbits")]
    random = np.random.default_rng(0)
    for number in range(1500):
        content = bytearray(seeds[number % len(seeds)])
        for place in random.integers(0, min(len(content), 400), random.integers(1, 6)):
            content[place] = random.choice([0, 1, 127, 128, 255])
        (tmp_path / "a").write_bytes(content[: int(random.integers(len(content) // 2, 2 * len(content)))])
        with contextlib.suppress(FerError):
            assert decode_image(tmp_path / "a").shape[2] == 3
    assert capfd.readouterr().err == ""


def test_size_without_decoding(tmp_path, monkeypatch) -> None:
    (tmp_path / "a.png").write_bytes(encoded(Image.fromarray(RGB), "PNG"))
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("decoded"))
    assert image_size(tmp_path / "a.png") == (40, 30)
    with pytest.raises(FerError, match="it does not exist"):
        image_size(tmp_path / "b.png")


def test_names_of_images_in_a_folder(tmp_path) -> None:
    for name in ("b.JPG", "a.png", "c.d.tiff", ".DS_Store", "._a.png", ".png", "png", "notes.txt", "Thumbs.db"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "folder.png")
    (tmp_path / "nowhere.png").symlink_to(tmp_path / "gone")
    assert image_names(tmp_path) == ["a.png", "b.JPG", "c.d.tiff", "nowhere.png"]


def test_decoding_imports_no_plugin_of_other_formats(tmp_path) -> None:
    (tmp_path / "a.webp").write_bytes(encoded(Image.fromarray(RGB), "WEBP"))
    (tmp_path / "b.eps").write_bytes(next(iter(FOREIGN)))
    script = (
        "import sys; from pathlib import Path; from fer_core.data.images import decode_image\n"
        f"for name in ('a.webp', 'b.eps'):\n    try: decode_image(Path({str(tmp_path)!r}) / name)\n"
        "    except Exception: pass\n"
        "print('PIL.EpsImagePlugin' in sys.modules, 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (found.stdout.strip(), found.stderr) == ("False False", "")
