"""A list of transforms as the configuration names them, and its two forms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fer_core.components import Origin
from fer_core.config.schema import TransformItem
from fer_core.data.images import as_rgb
from fer_core.data.pixels import Picture as PixelSource
from fer_core.data.pixels import to_pixels
from fer_core.data.random import SampleRandom
from fer_core.data.transforms.base import Picture, Plan, Planned, Shape, Transform, Views, deal, to_tensor
from fer_core.data.transforms.compose import build_transform
from fer_core.data.transforms.normalize import Normalize
from fer_core.errors import FerError
from fer_core.preprocessing import Preprocessing
from fer_core.returned import check_batch, check_picture

Pixels = Tensor | NDArray[np.uint8]
Place = Callable[[Sequence[Tensor]], Sequence[Tensor]]


class Pipeline:
    """From RGB faces to the model's input. Made by `build_pipeline`.

    The channels are put into the model's order, then come the transforms, one of which gives every image the
    same size.

    Attributes:
        transforms: In their order.
        views: Images that are made of one; None where a transform for that is absent.
        together: Batches that are best transformed at once on an accelerator.
    """

    def __init__(self, preprocessing: Preprocessing, transforms: Sequence[Transform | Views]) -> None:
        self.preprocessing = preprocessing
        self.transforms = tuple(transforms)
        self._reverses = preprocessing.color == "bgr"
        self._head = 1 + next(i for i, transform in enumerate(transforms) if transform.sizes)
        self.views = next((transform.count for transform in transforms if isinstance(transform, Views)), None)
        self.together = 1 + any(isinstance(transform, Transform) and transform.many for transform in transforms)

    @torch.no_grad()
    def __call__(self, images: PixelSource | Sequence[PixelSource], rng: SampleRandom | None = None) -> Tensor:
        """One image or several as the model's input.

        Args:
            images: A PIL image, an array [H, W, 3], [H, W] or [N, H, W, 3], a tensor [3, H, W], [H, W] or
                [N, 3, H, W]; RGB or grey, uint8 or floats in 0..1. Or a list of these, of any sizes.
            rng: Streams of the N images. None: transforms that draw follow `torch.manual_seed`, as torchvision's
                do; evaluation transforms draw nothing.

        Returns:
            float32 [3, H, W] for one image, [N, 3, H, W] for several; [V, 3, H, W] and [N, V, 3, H, W] where the
            pipeline makes V views. On the device of a uint8 tensor [N, C, H, W], else on the CPU.

        Raises:
            FerError: `images` is not one of these, or has values out of range.
        """
        several = isinstance(images, list | tuple) or getattr(images, "ndim", 3) == 4
        batched = self.preprocessing.pipeline == "batched"
        if batched and isinstance(images, Tensor) and _is_batch(images):
            return self.batch(images, rng or _fresh(len(images)))
        group = images if isinstance(images, list | tuple) else [images]
        faces = [face for number, item in enumerate(group) for face in to_pixels(item, f"image {number}")]
        if not faces:
            raise FerError("no image to transform: the list is empty")
        rng = rng or _fresh(len(faces))
        if batched:
            made = self.batch(faces, rng)
        else:
            rows = [torch.tensor([row]) for row in range(len(faces))]
            made = torch.stack(
                [self.image(as_picture(face), rng.select(row)) for face, row in zip(faces, rows, strict=True)]
            )
        return made if several else made[0]

    def image(self, image: Image.Image, rng: SampleRandom) -> Tensor:
        """A PIL image as the papers' code transforms it; `rng` is a stream of one sample.

        Returns:
            float32 [3, H, W], or [V, 3, H, W] where the pipeline makes V views.
        """
        rgb = image if image.mode == "RGB" else image.convert("RGB")
        pictures: list[Picture] = [Image.merge("RGB", rgb.split()[::-1]) if self._reverses else rgb]
        streams = [rng]
        for transform in self.transforms:
            if isinstance(transform, Views):
                every = rng.views(transform.count)
                pictures = transform.image(pictures[0])
                streams = [every.select(torch.tensor([view])) for view in range(transform.count)]
            else:
                pairs = zip(pictures, streams, strict=True)
                pictures = [check_picture(transform, transform.image(*pair)) for pair in pairs]
        tensors = [to_tensor(picture) for picture in pictures]
        return tensors[0] if self.views is None else torch.stack(tensors)

    def batch(self, images: Tensor | Sequence[Pixels], rng: SampleRandom, place: Place | None = None) -> Tensor:
        """A batch, on the device where the pixels are.

        Args:
            images: uint8 [N, C, H, W] with C 1 (grey) or 3, or a list of uint8 [H, W, C] of any sizes. Neither
                is changed.
            rng: Streams of the N samples.
            place: Copies tensors to that device together; by default each by itself.

        Returns:
            float32 [N, 3, H, W], or [N, V, 3, H, W] where the pipeline makes V views.
        """
        if isinstance(images, Tensor):
            batch, first = images.flip(1) if self._reverses else images, 0
            if not self.transforms[0].sizes:
                batch = batch.clone(memory_format=torch.contiguous_format)
        else:
            batch, rng = _begin_each(self.transforms[: self._head], map(self._planes, images), rng)
            batch, first = batch.contiguous(), self._head
        transforms = self.transforms[first:]
        plans, rng = _plan(transforms, rng, Shape.of(batch))
        values = [value for plan in plans for value in plan.values]
        placed = [value.to(batch.device) for value in values] if place is None else place(values)
        dealt = deal(placed, plans)
        for number, transform in enumerate(transforms):
            if number < len(plans):
                given = batch if isinstance(transform, Views) or transform.raw else _to_float(batch)
                count = len(batch) * (transform.count if isinstance(transform, Views) else 1)
                batch = check_batch(transform, plans[number].work(given, next(dealt)), count)
            else:
                batch, rng = _step(transform, batch, rng)
            if isinstance(images, Tensor) and number == self._head - 1:
                if batch.untyped_storage().data_ptr() == images.untyped_storage().data_ptr():
                    batch = batch.clone(memory_format=torch.contiguous_format)  # what follows may write to it
                batch = batch.contiguous()  # packs hold channels last; cheapest to turn while it is uint8
        batch = _to_float(batch)
        return batch if self.views is None else batch.view(-1, self.views, *batch.shape[1:])

    def show(self, images: Tensor) -> Tensor:
        """The model's input as images: normalisation undone, channels in the order of RGB."""
        for transform in reversed(self.transforms):
            if isinstance(transform, Normalize):
                images = transform.undo(images)
        return (images.flip(1) if self._reverses else images).clamp(0, 1)

    def _planes(self, pixels: Pixels) -> Tensor:
        """One image [H, W, C] as a batch [1, C, H, W] in channels-last order, which resizes fastest."""
        tensor = pixels if isinstance(pixels, Tensor) else torch.from_numpy(np.ascontiguousarray(pixels))
        return (tensor.flip(-1) if self._reverses else tensor).permute(2, 0, 1)[None]


def _is_batch(images: Tensor) -> bool:
    """Whether these are pixels as in packs, [N, 1 or 3, H, W], which need no conversion."""
    pixels = images.dtype == torch.uint8 and images.dim() == 4 and images.shape[1] in (1, 3)
    return pixels and images.numel() > 0


def _fresh(count: int) -> SampleRandom:
    """Streams for images outside of a run, from torch's generator."""
    return SampleRandom(int(torch.randint(1 << 62, ())), 0, np.arange(count))


def as_picture(pixels: NDArray[np.uint8]) -> Image.Image:
    """Pixels uint8 [H, W, 3] or [H, W, 1] as a PIL RGB image."""
    return Image.fromarray(as_rgb(pixels))


def build_pipeline(
    preprocessing: Preprocessing,
    items: Sequence[TransformItem] | None = None,
    section: str = "transforms",
    origin: Origin | None = None,
) -> Pipeline:
    """The evaluation pipeline of an input contract, or one of other transforms.

    Args:
        preprocessing: What the model is fed.
        items: The transforms, for example `["resize", {"horizontal_flip": {"p": 0.5}}, "normalize"]`; None for the
            contract's `eval_transforms`.
        section: Where they stand, for messages.
        origin: Where they came from, for messages.

    Raises:
        FerError: Unknown transform or option, invalid value, or invalid order.
    """
    items = preprocessing.eval_transforms if items is None else items
    if isinstance(items, str) or not isinstance(items, Sequence):
        raise FerError(f"transforms are {items!r}: give a list, as in [resize, normalize]")
    transforms = [build_transform(item, preprocessing, section, origin) for item in items]
    normalised = sized = False
    for item, transform in zip(items, transforms, strict=True):
        name = item if isinstance(item, str) else next(iter(item))
        if normalised and (transform.sizes or (isinstance(transform, Transform) and transform.pixels)):
            raise FerError(f"transform {name} works on pixels: put it before normalize")
        normalised = normalised or isinstance(transform, Normalize)
        sized = sized or transform.sizes
    if not sized:
        raise FerError(
            "no transform of the list gives all faces one size: let it begin with resize (or random_resized_crop, "
            "or a crop with its option resize)"
        )
    if sum(isinstance(transform, Views) for transform in transforms) > 1:
        raise FerError("the list makes views of views: keep one of five_crop, ten_crop and mirror_views")
    return Pipeline(preprocessing, transforms)


def _plan(
    transforms: Sequence[Transform | Views], rng: SampleRandom, shape: Shape
) -> tuple[list[Plan], SampleRandom]:
    """Plans of the transforms before the first that draws while it works, and the streams after them."""
    plans: list[Plan] = []
    for transform in transforms:
        if isinstance(transform, Views):
            side = transform.side()
            if side is None:
                break
            rng = rng.views(transform.count)
            plans.append(Plan(partial(_all_views, transform), shape.resized(side, side)))
        elif isinstance(transform, Planned):
            plans.append(transform.plan(rng, shape if transform.raw else shape._replace(channels=3)))
        else:
            break
        shape = plans[-1].shape
    return plans, rng


def _all_views(views: Views, images: Tensor, values: Sequence[Tensor]) -> Tensor:
    """The views of a batch as rows of one."""
    made = views.batch(images)
    return made.flatten(0, 1) if isinstance(made, Tensor) and made.dim() == 5 else made


def _step(transform: Transform | Views, images: Tensor, rng: SampleRandom) -> tuple[Tensor, SampleRandom]:
    """A batch after a transform, views as rows of it, and the streams that go with it."""
    if isinstance(transform, Views):
        flat = _all_views(transform, images, ())
        return check_batch(transform, flat, len(images) * transform.count), rng.views(transform.count)
    made = transform.batch(images if transform.raw else _to_float(images), rng)
    return check_batch(transform, made, len(images)), rng


def _begin(head: Sequence[Transform | Views], images: Tensor, rng: SampleRandom) -> tuple[Tensor, SampleRandom]:
    """All up to the transform that gives images their size, without writing to `images`."""
    if head and not head[0].sizes:
        images = images.clone(memory_format=torch.contiguous_format)
    for transform in head:
        images, rng = _step(transform, images, rng)
    return images, rng


def _begin_each(
    head: Sequence[Transform | Views], images: Iterable[Tensor], rng: SampleRandom
) -> tuple[Tensor, SampleRandom]:
    """The same for images [1, C, H, W] of several sizes, one by one, then together."""
    parts: list[Tensor] = []
    stream = rng
    sizing = head[-1]
    for row, image in enumerate(images):
        stream = rng.select(torch.tensor([row]))
        if isinstance(sizing, Views):
            part, _ = _begin(head[:-1], image, stream)
            parts.append(sizing.batch(part).flatten(0, 1))
        else:
            parts.append(_begin(head, image, stream)[0])
    rng.follow(stream)
    return _stack(parts), rng.views(sizing.count) if isinstance(sizing, Views) else rng


def _stack(parts: list[Tensor]) -> Tensor:
    """Batches [n, C, H, W] of one size as one new batch; grey ones get three channels if any has."""
    channels = max(part.shape[1] for part in parts)
    count = parts[0].shape[0]
    batch = parts[0].new_empty((len(parts) * count, channels, *parts[0].shape[2:]))
    for place, part in zip(torch.split(batch, count), parts, strict=True):
        place.copy_(part)
    return batch


def _to_float(images: Tensor) -> Tensor:
    """Batch as float32 with three channels; uint8 is scaled to 0..1."""
    if images.dtype == torch.uint8:
        images = images.to(torch.float32).div_(255)
    return images.expand(-1, 3, -1, -1).contiguous() if images.shape[1] == 1 else images
