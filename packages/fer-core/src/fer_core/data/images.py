"""The one image decoder: datasets, checks and prediction read image files through it, by the same rules.

- Formats: those in `FORMATS`, recognised by content. No other plugin of Pillow is tried, so no process is started.
- Limits: `MAX_BYTES`, `MAX_PIXELS` and `MAX_SIDE`, checked before any pixel is decoded.
- Grey stays grey where the caller wants it. Palettes, CMYK and other colour spaces become RGB as Pillow converts
  them; embedded colour profiles are ignored.
- Transparency is composited over black. An alpha channel of zeros only is taken as unused.
- Of 16 bits a channel the high 8 are kept. Floats and integers whose range is unknown are rejected.
- Rotation noted in EXIF or XMP is applied; notes that are damaged are ignored.
- Of several images in one file (animation, pages) the first is read.
"""

from __future__ import annotations

import ctypes
import io
import logging
import os
import re
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageChops, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin, _imaging

from fer_core.errors import FerError
from fer_core.machine import return_freed_memory

FORMATS = ("JPEG", "PNG", "BMP", "GIF", WebPImagePlugin.WebPImageFile.format, TiffImagePlugin.TiffImageFile.format)
"""Pillow's names of the formats. Importing the last two registers them; else Pillow would import every plugin."""
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif"})
"""Endings by which image files are found in folders."""
MAX_PIXELS = 50_000_000
MAX_SIDE = 32_768
"""Longest side in pixels."""
MAX_SCANNED = 20 * MAX_PIXELS
"""Pixels times scans of a JPEG; progressive ones have about ten."""
MAX_BYTES = 256 << 20
"""Largest file."""
LARGE = 32_000_000
"""Pixels of an image from which on it is worth the time to give back the memory that decoding took."""
STRIP = 1 << 20
"""Pixels that are converted at a time."""

T = TypeVar("T")
Pixels = NDArray[np.uint8]

_KNOWN = "a JPEG, PNG, BMP, WebP, TIFF or GIF image"
_REPLACE = "replace it or leave it out"
_CONVERT = "convert it to 8 bits a channel"
_OTHERS = (
    (b"%!ps", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"%pdf", "PDF"),
    (b"pk\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"<svg", "SVG"),
    (b"<?xml", "XML, such as SVG"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"version https://git-lfs", "a pointer of Git LFS"),
)
"""What else is found under the names of images, by its first bytes with letters in lower case."""
_TURNS: dict[object, Callable[[Pixels], Pixels]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels.swapaxes(0, 1)[:, ::-1],
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels.swapaxes(0, 1)[::-1],
}
"""How pixels are brought upright, by the value of EXIF's Orientation."""
_QUIET = ("ignore", None, Warning, re.compile(r"PIL\."), 0)

# Warnings about damaged files would go to stderr; those that matter are errors here.
logging.getLogger("PIL").addHandler(logging.NullHandler())
with suppress(AttributeError):  # a build of Pillow without libtiff, or with one that is out of reach
    ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)


class _UnfitError(Exception):
    """A file that cannot be used: why, and what to do."""

    def __init__(self, reason: str, advice: str = _REPLACE) -> None:
        super().__init__(reason)
        self.reason, self.advice = reason, advice


def decode_image(path: Path, *, keep_grey: bool = False) -> NDArray[np.uint8]:
    """Pixels of an image file; see the rules above.

    Args:
        path: The file.
        keep_grey: Give grey images as [H, W, 1] instead of repeating the channel.

    Returns:
        uint8 [H, W, 3], RGB; or [H, W, 1].

    Raises:
        FerError: The file is missing, not a regular file, empty, damaged, too large or not an image of these
            formats; the message names it.
    """
    pixels = _read(path, _upright_and_closed)
    return pixels if keep_grey else as_rgb(pixels)


def decode_bytes(content: bytes, name: str) -> NDArray[np.uint8]:
    """Pixels, uint8 RGB [H, W, 3], of what an image file contains; `name` is for messages.

    Raises:
        FerError: As `decode_image`.
    """
    return as_rgb(_decode(io.BytesIO(content), len(content), name, _upright_and_closed))


def as_rgb(pixels: Pixels) -> Pixels:
    """Pixels [H, W, 3] of an image [H, W, 3 or 1]; the channel of a grey one is repeated."""
    return pixels if pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2)


def convert_image(image: Image.Image, name: str) -> Pixels:
    """Pixels of an opened PIL image, by the rules above: uint8 RGB [H, W, 3], or [H, W, 1] of a grey one.

    Raises:
        FerError: Its pixels cannot be read, or their range is unknown; the message calls it `name`.
    """
    try:
        return _upright(image)
    except _UnfitError as error:
        reason, advice = error.reason, error.advice
    except Exception as error:  # pixels may be decoded only now, and decoders raise anything
        reason, advice = _words(error), _REPLACE
    raise FerError(f"cannot read {name}: {reason}: {advice}")


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of an image as stored, without decoding it. Raises FerError as `decode_image`."""
    return _read(path, lambda image: image.size)


def is_image(name: str) -> bool:
    """Whether a file's name is that of an image, and not hidden as `._a.jpg` is."""
    front, _, ending = name.rpartition(".")
    return front != "" and not front.startswith(".") and f".{ending.lower()}" in SUFFIXES


def image_names(folder: Path) -> list[str]:
    """Names of the images directly in a folder, sorted, recognised by name alone.

    Named pipes and links that lead nowhere are among them, so that reading them fails instead of losing them.
    """
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if is_image(entry.name) and not _is_folder(entry))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return Path(entry).is_dir() if entry.is_symlink() else entry.is_dir()


def open_file(path: Path) -> BufferedReader:
    """Open a regular file. Nothing else is opened, since a named pipe would block and a device might act.

    Raises:
        FerError: The file is missing, not a regular file or not permitted.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            return open(path, "rb", opener=_open_at_once)
        reason = "it is a folder" if stat.S_ISDIR(mode) else "it is not a regular file"
    except FileNotFoundError:
        reason = "it does not exist"
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = _words(error)
    raise FerError(f"cannot read {path}: {reason}: {_REPLACE}")


def _open_at_once(path: str, flags: int) -> int:
    # The file may have been replaced since it was checked.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _read(path: Path, use: Callable[[Image.Image], T]) -> T:
    with open_file(path) as file:
        return _decode(file, os.fstat(file.fileno()).st_size, str(path), use)


def _decode(file: BinaryIO, size: int, name: str, use: Callable[[Image.Image], T]) -> T:
    if _QUIET not in warnings.filters:  # set each time: tests and `catch_warnings` restore the filters
        warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        if not 0 < size <= MAX_BYTES:
            raise _UnfitError(f"it has more than {MAX_BYTES >> 20} MiB" if size else "it is empty (0 bytes)")
        with Image.open(file, formats=FORMATS) as image:
            _check_work(image, file)
            return use(image)
    except _UnfitError as error:
        reason, advice = error.reason, error.advice
    except UnidentifiedImageError:
        reason, advice = _describe(file), _REPLACE
    except Image.DecompressionBombError:
        reason, advice = f"it has over {MAX_PIXELS:,} pixels", "scale it down"
    except Exception as error:  # on damaged files decoders raise anything: SyntaxError, struct.error...
        reason, advice = _words(error), _REPLACE
    raise FerError(f"cannot read {name}: {reason}: {advice}")


def _check_work(image: Image.Image, file: BinaryIO) -> None:
    """Reject an image that would take too much memory or time to decode."""
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        limit = f"over {MAX_PIXELS:,} in all or {MAX_SIDE:,} a side"
        raise _UnfitError(f"it has {width:,} x {height:,} pixels, {limit}", "scale it down")
    if image.format in ("JPEG", "MPO"):  # each scan, of some bytes in the file, goes over all pixels
        place = file.tell()
        file.seek(0)
        scans = file.read().count(b"\xff\xda")
        file.seek(place)
        if scans * width * height > MAX_SCANNED:
            raise _UnfitError(f"it has {scans:,} scans of {width:,} x {height:,} pixels", "save it again")


def _describe(file: BinaryIO) -> str:
    """What a file is if it is not an image."""
    file.seek(0)
    start = file.read(256).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for beginning, what in _OTHERS:
        if start.startswith(beginning):
            return f"it is {what}, not {_KNOWN}"
    return f"it is not {_KNOWN}, or its beginning is damaged"


def _words(error: Exception) -> str:
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return " ".join(text.split())[:200] or type(error).__name__


def _upright_and_closed(image: Image.Image) -> Pixels:
    """As `_upright`; the image's own copy of its pixels is freed before they are turned."""

    def free() -> None:
        image.close()
        if image.width * image.height > LARGE:
            return_freed_memory()

    return _upright(image, free)


def _upright(image: Image.Image, done: Callable[[], None] = lambda: None) -> Pixels:
    image.load()
    pixels = _pixels(image)
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # damaged EXIF raises anything, and says nothing about the pixels
        return pixels
    done()
    return np.ascontiguousarray(_TURNS[orientation](pixels)) if orientation in _TURNS else pixels


def _pixels(image: Image.Image) -> Pixels:
    """Pixels as stored, uint8 [H, W, 3], or [H, W, 1] of a grey image."""
    if image.mode == "F":
        raise _UnfitError("its pixels are floats, whose range is unknown", _CONVERT)
    if image.mode.startswith("I"):
        return _high_bits(image)[:, :, None]
    mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    with_alpha = f"{mode}A"
    # Some programs leave the fourth channel of a bitmap unused.
    transparent = image.has_transparency_data and any(
        _converted(strip, with_alpha).getchannel("A").getextrema() != (0, 0) for _, strip in _strips(image)
    )
    pixels = np.empty((image.height, image.width, len(mode)), np.uint8)
    for top, strip in _strips(image):
        if image.has_transparency_data:
            strip = _converted(strip, with_alpha)
        colours = _converted(strip, mode)
        if transparent:
            colours.paste(0, mask=ImageChops.invert(strip.getchannel("A")))
        pixels[top : top + strip.height] = np.asarray(colours).reshape(strip.height, image.width, len(mode))
    return pixels


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Parts of an image from top to bottom, so that converting a large one needs no copy of all of it."""
    rows = max(1, STRIP // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _converted(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)


def _high_bits(image: Image.Image) -> Pixels:
    """The high 8 bits of a grey image of 9 to 16 bits a pixel, [H, W]."""
    values = np.asarray(image)
    bits, inverted = 16, False
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = image.tag_v2[TiffImagePlugin.BITSPERSAMPLE][0]
        inverted = image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >> 16 or (bits > 16 and high < 256):
        raise _UnfitError(f"its pixels are integers from {low} to {high}, whose range is unknown", _CONVERT)
    grey = (values >> (min(bits, 16) - 8)).astype(np.uint8)
    return ~grey if inverted else grey
