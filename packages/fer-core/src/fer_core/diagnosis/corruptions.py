"""Corrupted faces, as from bad cameras or conditions: five corruptions at five severities each.

The kinds are those that surveys of robustness use (Hendrycks, Dietterich: Benchmarking Neural Network Robustness
to Common Corruptions and Perturbations, ICLR 2019, https://arxiv.org/abs/1903.12261), and occlusion. Their
parameters differ: they are relative to the face's side, the shorter one of the image, so that a severity takes
as much from a face of 48 pixels as from one of 224.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from fer_core.data.random import SampleRandom, derive_seed
from fer_core.types import Pack

Pixels = NDArray[np.uint8]
STRENGTHS = (1, 2, 3, 4, 5)
BLUR = (0.01, 0.02, 0.03, 0.045, 0.06)
"""Standard deviation of the Gaussian, as a share of the face's side."""
NOISE = (0.04, 0.08, 0.12, 0.18, 0.26)
"""Standard deviation of the normal noise, as a share of the range of pixels (255)."""
GRAINS = 48
"""Grains of noise along the face's side; a grain is a pixel where the face has fewer. Finer noise would vanish
from large faces when they are resized."""
OCCLUSION = (0.2, 0.3, 0.4, 0.5, 0.6)
"""Side of a grey square at a random place within the face, as a share of the face's side."""
BRIGHTNESS = (0.15, 0.3, 0.45, 0.6, 0.75)
"""How far every pixel moves towards black or, for the other half of the faces, white: 1 is all the way."""
RESOLUTION = (40, 28, 20, 14, 10)
"""Pixels that are left along the face's side; a face that has no more stays as it is."""
_GREY = 127


def blur(pixels: Pixels, strength: int, random: SampleRandom) -> Pixels:
    """Gaussian blur of standard deviation `BLUR` times the face's side."""
    radius = BLUR[strength - 1] * min(pixels.shape[:2])
    return _array(_image(pixels).filter(ImageFilter.GaussianBlur(radius)), pixels)


def noise(pixels: Pixels, strength: int, random: SampleRandom) -> Pixels:
    """Normal noise of standard deviation `NOISE` x 255, in `GRAINS` grains along the side, in each channel."""
    height, width, channels = pixels.shape
    grain = max(min(height, width) / GRAINS, 1.0)
    rows, columns = (np.arange(size) // grain for size in (height, width))
    shape = (int(rows[-1]) + 1, int(columns[-1]) + 1, channels)
    grid = random.normal(shape)[0].numpy()[np.ix_(rows.astype(int), columns.astype(int))]
    return _rounded(pixels + 255 * NOISE[strength - 1] * grid)


def occlusion(pixels: Pixels, strength: int, random: SampleRandom) -> Pixels:
    """A grey square of side `OCCLUSION` times the face's side, anywhere within the face."""
    height, width, _ = pixels.shape
    side = max(round(OCCLUSION[strength - 1] * min(height, width)), 1)
    down, right = random.uniform(k=2)[0].tolist()
    top, left = int(down * (height - side + 1)), int(right * (width - side + 1))
    covered = pixels.copy()
    covered[top : top + side, left : left + side] = _GREY
    return covered


def brightness(pixels: Pixels, strength: int, random: SampleRandom) -> Pixels:
    """Every pixel moves by the share `BRIGHTNESS` of its way to black or white, one of them for all of a face."""
    end = 255 * int(random.integers(2))
    return _rounded(pixels + BRIGHTNESS[strength - 1] * (end - pixels.astype(np.float32)))


def low_resolution(pixels: Pixels, strength: int, random: SampleRandom) -> Pixels:
    """Shrunk by averaging to `RESOLUTION` pixels along the face's side, and enlarged again bilinearly."""
    height, width, _ = pixels.shape
    share = RESOLUTION[strength - 1] / min(height, width)
    if share >= 1:
        return pixels
    small = (max(round(share * width), 1), max(round(share * height), 1))
    shrunk = _image(pixels).resize(small, Image.Resampling.BOX)
    return _array(shrunk.resize((width, height), Image.Resampling.BILINEAR), pixels)


CORRUPTIONS: dict[str, Callable[[Pixels, int, SampleRandom], Pixels]] = {
    "blur": blur,
    "noise": noise,
    "occlusion": occlusion,
    "brightness": brightness,
    "low_resolution": low_resolution,
}
"""Name -> function of a face uint8 [H, W, C], its parameter for a severity, and the face's random numbers."""


def corrupt(pixels: Pixels, name: str, strength: int, *, seed: int, row: int) -> Pixels:
    """One face with one corruption; equal arguments give equal results.

    Args:
        pixels: uint8 [H, W, C], grey or RGB; it is not changed.
        name: Key of `CORRUPTIONS`.
        strength: 0 (the face itself) to 5.
        seed: Of the diagnosis.
        row: Row of the face in the dataset's table.

    Returns:
        uint8 [H, W, C].
    """
    if strength == 0:
        return pixels
    random = SampleRandom(derive_seed(seed, list(CORRUPTIONS).index(name)), strength, [row])
    return CORRUPTIONS[name](pixels, strength, random)


@dataclass(frozen=True)
class CorruptedPack(Pack):
    """Faces of another pack, with one corruption at one severity; see `corrupt`."""

    pack: Pack
    corruption: str
    strength: int
    seed: int = 0

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Height and width of every image in pixels, [N, 2]."""
        return self.pack.sizes

    @property
    def uniform(self) -> bool:
        """As of the other pack."""
        return self.pack.uniform

    def __len__(self) -> int:
        return len(self.pack)

    def images(self, rows: NDArray[np.int64]) -> Pixels | list[Pixels]:
        """Corrupted pixels of `rows`."""
        faces = [
            corrupt(np.asarray(face), self.corruption, self.strength, seed=self.seed, row=int(row))
            for row, face in zip(rows, self.pack.images(rows), strict=True)
        ]
        return np.stack(faces) if self.uniform else faces


def _image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def _array(image: Image.Image, like: Pixels) -> Pixels:
    return np.asarray(image).reshape(like.shape)


def _rounded(values: NDArray[np.floating]) -> Pixels:
    pixels: Pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return pixels
