"""Crops: at a random place and size, at the centre, and the five or ten that evaluations average over."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from PIL import ImageOps
from torch import Tensor

from fer_core.data.random import SampleRandom
from fer_core.data.transforms.base import Picture, Plan, Planned, Shape, Views, check_interval, check_size
from fer_core.data.transforms.resize import METHODS, check_filter, resize_batch
from fer_core.errors import FerError
from fer_core.preprocessing import Preprocessing

_ATTEMPTS = 10


class RandomResizedCrop(Planned):
    """Crop a random part, and resize it to the network's input with an antialiased filter.

    Area and aspect ratio (width / height, log-uniform) are drawn up to ten times until the part fits; if none
    does, it is the largest one at the centre with an allowed ratio. So does torchvision's `RandomResizedCrop`.

    Args:
        preprocessing: Gives the size.
        scale: Smallest and largest area as fractions of the image's.
        ratio: Smallest and largest aspect ratio.
        interpolation: `bilinear` or `bicubic`.
    """

    raw: bool = True
    sizes: bool = True

    def __init__(
        self,
        preprocessing: Preprocessing,
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
        interpolation: str = "bilinear",
    ) -> None:
        self.size = preprocessing.input_size
        self.scale = check_interval("random_resized_crop: scale", scale, 0, 1)
        self.ratio = check_interval("random_resized_crop: ratio", ratio, 1e-3)
        self.method = check_filter("random_resized_crop", interpolation)

    def boxes(self, rng: SampleRandom, size: tuple[int, int]) -> Tensor:
        """Top, left, height and width of each sample's part, int64 [N, 4].

        Draws ten areas, ten ratios and two coordinates, whatever the outcome.
        """
        height, width = size
        area = rng.uniform(*self.scale, k=_ATTEMPTS) * (height * width)
        ratio = rng.uniform(math.log(self.ratio[0]), math.log(self.ratio[1]), k=_ATTEMPTS).exp_()
        widths, heights = ((part.sqrt_().round_().long()) for part in (area * ratio, area / ratio))
        fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
        first = fits.int().argmax(1, keepdim=True)
        sides = torch.cat([heights.gather(1, first), widths.gather(1, first)], 1)
        some = fits.any(1, keepdim=True)
        sides = torch.where(some, sides, torch.tensor(self._fallback(size)))
        free = torch.tensor(size) - sides
        corner = torch.where(some, rng.integers(free + 1, k=2), free // 2)
        return torch.cat([corner, sides], 1)

    def _fallback(self, size: tuple[int, int]) -> tuple[int, int]:
        height, width = size
        low, high = self.ratio
        if width / height < low:
            return min(round(width / low), height), width
        if width / height > high:
            return height, min(round(height * high), width)
        return height, width

    def _whole(self, size: tuple[int, int]) -> bool:
        """Whether the only part of an image of this size is all of it."""
        return self.scale == (1, 1) and self.ratio == (1, 1) and size[0] == size[1]

    def image(self, image: Picture, rng: SampleRandom) -> Picture:
        """Crop and resize one image."""
        if isinstance(image, Tensor):
            return self.batch(image[None], rng)[0]
        top, left, height, width = self.boxes(rng, (image.height, image.width))[0].tolist()
        part = image.crop((left, top, left + width, top + height))
        return part.resize((self.size, self.size), METHODS[self.method])

    def plan(self, rng: SampleRandom, shape: Shape) -> Plan:
        """Crop and resize each sample by a product with its own filter matrices."""
        boxes = self.boxes(rng, (shape.height, shape.width))
        return Plan(self._cut, shape.resized(self.size, self.size), [boxes])

    def _cut(self, images: Tensor, values: Sequence[Tensor]) -> Tensor:
        height, width = images.shape[-2:]
        if self._whole((height, width)):
            return resize_batch(images, (self.size, self.size), self.method)
        top, left, high, wide = values[0].unbind(1)
        down = _filters(top, high, height, self.size, self.method)
        right = _filters(left, wide, width, self.size, self.method)
        resized = down[:, None] @ images.float() @ right.mT[:, None]
        return resized if images.is_floating_point() else resized.round_().clamp_(0, 255).to(torch.uint8)


def _filters(first: Tensor, length: Tensor, side: int, size: int, method: str) -> Tensor:
    """Weight of each of `side` pixels in each of `size` new ones, [N, size, side]: PIL's antialiasing filters.

    The new pixels cover `length` pixels from `first` on, each [N].
    """
    step = (length / size)[:, None, None]
    centre = (torch.arange(size, device=first.device) + 0.5)[:, None] * step
    at = torch.arange(side, device=first.device) - first[:, None, None]
    distance = ((at + 0.5 - centre) / step.clamp(min=1)).abs_()
    if method == "bilinear":
        weights = (1 - distance).clamp_(min=0)
    else:  # Keys' cubic kernel with a = -1/2
        near = (1.5 * distance - 2.5) * distance * distance + 1
        far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
        weights = torch.where(distance < 1, near, torch.where(distance < 2, far, 0))
    weights = weights.mul_((at >= 0) & (at < length[:, None, None]))
    return weights.div_(weights.sum(2, keepdim=True))


class _Cropper:
    """Options and arithmetic that crops at fixed places share."""

    def __init__(
        self, name: str, preprocessing: Preprocessing, size: int | None, resize: int | None, interpolation: str
    ) -> None:
        self.name = name
        self.size = check_size(f"{name}: size", preprocessing.input_size if size is None else size)
        self.resize = None if resize is None else check_size(f"{name}: resize", resize)
        self.method = check_filter(name, interpolation)
        if self.resize is not None and self.resize < self.size:
            raise FerError(f"{name}: crops of {self.size} pixels do not fit in {self.resize}: raise resize")

    def prepare(self, image: Picture) -> Picture:
        """The image with its shorter side resized; tensors may be batches."""
        tensor = isinstance(image, Tensor)
        height, width = image.shape[-2:] if isinstance(image, Tensor) else (image.height, image.width)
        if self.resize is not None:
            short = min(height, width)
            height, width = self.resize * height // short, self.resize * width // short
        if min(height, width) < self.size:
            raise FerError(
                f"{self.name}: an image of {height} x {width} is smaller than {self.size}: set its option resize"
            )
        if isinstance(image, Tensor):
            batch = image if image.dim() == 4 else image[None]
            resized = resize_batch(batch, (height, width), self.method)
            return resized if image.dim() == 4 else resized[0]
        return image if tensor or self.resize is None else image.resize((width, height), METHODS[self.method])

    def cut(self, image: Picture, place: tuple[float, float]) -> Picture:
        """A crop whose corner is at these fractions of the free room, 0 to 1, from above and from the left."""
        height, width = image.shape[-2:] if isinstance(image, Tensor) else (image.height, image.width)
        top, left = (round((side - self.size) * at) for side, at in zip((height, width), place, strict=True))
        if isinstance(image, Tensor):
            return image[..., top : top + self.size, left : left + self.size]
        return image.crop((left, top, left + self.size, top + self.size))


class CenterCrop(Planned):
    """The square at the centre.

    Args:
        preprocessing: Gives the default size.
        size: Side in pixels; by default that of the network's input.
        resize: Length that the shorter side is resized to before, keeping the aspect ratio; None: as it is.
        interpolation: Of the resizing, `bilinear` or `bicubic`.
    """

    raw: bool = True

    def __init__(
        self,
        preprocessing: Preprocessing,
        size: int | None = None,
        resize: int | None = None,
        interpolation: str = "bilinear",
    ) -> None:
        self._cropper = _Cropper("center_crop", preprocessing, size, resize, interpolation)
        self.sizes = resize is not None

    def image(self, image: Picture, rng: SampleRandom) -> Picture:
        """Crop one image."""
        return self._cropper.cut(self._cropper.prepare(image), (0.5, 0.5))

    def plan(self, rng: SampleRandom, shape: Shape) -> Plan:
        """Crop a batch."""
        side = self._cropper.size
        return Plan(lambda images, values: self._cut(images), shape.resized(side, side))

    def _cut(self, images: Tensor) -> Tensor:
        cut = self._cropper.cut(self._cropper.prepare(images), (0.5, 0.5))
        assert isinstance(cut, Tensor)
        return cut


class FiveCrop(Views):
    """Five views: the squares in the corners (upper left, upper right, lower left, lower right) and at the centre.

    Args:
        preprocessing: Gives the default size.
        size: Side in pixels; by default that of the network's input.
        resize: Length that the shorter side is resized to before, keeping the aspect ratio; None: as it is.
        interpolation: Of the resizing, `bilinear` or `bicubic`.
    """

    count = 5
    _NAME = "five_crop"
    _MIRRORED = False

    def __init__(
        self,
        preprocessing: Preprocessing,
        size: int | None = None,
        resize: int | None = None,
        interpolation: str = "bilinear",
    ) -> None:
        self._cropper = _Cropper(self._NAME, preprocessing, size, resize, interpolation)
        self.sizes = resize is not None

    def image(self, image: Picture) -> list[Picture]:
        """The views of one image."""
        image = self._cropper.prepare(image)
        pictures = [image]
        if self._MIRRORED:
            pictures.append(image.flip(-1) if isinstance(image, Tensor) else ImageOps.mirror(image))
        return [self._cropper.cut(picture, place) for picture in pictures for place in _PLACES]

    def side(self) -> int:
        """As configured."""
        return self._cropper.size

    def batch(self, images: Tensor) -> Tensor:
        """The views of a batch, [N, V, C, size, size]."""
        cuts = self.image(images)
        return torch.stack([cut for cut in cuts if isinstance(cut, Tensor)], 1)


class TenCrop(FiveCrop):
    """Ten views: those of `FiveCrop`, then the same of the mirrored image."""

    count = 10
    _NAME = "ten_crop"
    _MIRRORED = True


class MirrorViews(Views):
    """Two views: the image and its mirror image. The answer for a face no longer depends on which side is left.

    Args:
        preprocessing: Not used.
    """

    count = 2

    def __init__(self, preprocessing: Preprocessing) -> None:
        pass

    def image(self, image: Picture) -> list[Picture]:
        """The views of one image."""
        return [image, image.flip(-1) if isinstance(image, Tensor) else ImageOps.mirror(image)]

    def batch(self, images: Tensor) -> Tensor:
        """The views of a batch, [N, 2, C, H, W]."""
        return torch.stack([images, images.flip(-1)], 1)


_PLACES = ((0, 0), (0, 1), (1, 0), (1, 1), (0.5, 0.5))
