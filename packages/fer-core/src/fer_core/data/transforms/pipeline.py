"""A list of transforms as the configuration names them, and its two forms."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fer_core.data.random import SampleRandom
from fer_core.data.transforms.base import Picture, Transform, TransformInfo, check_number, chosen_rows, to_tensor
from fer_core.data.transforms.normalize import Normalize
from fer_core.data.transforms.resize import Resize
from fer_core.errors import FerError, nearest
from fer_core.registry import find

Item = str | Mapping[str, Any]
"""`name`, or `{name: {option: value}}`."""
Pixels = Tensor | NDArray[np.uint8]


def _parse(item: object) -> tuple[str, dict[str, Any]]:
    """Name and options of one item of the list."""
    if isinstance(item, str):
        return item, {}
    if isinstance(item, Mapping) and len(item) == 1:
        name, options = next(iter(item.items()))
        if isinstance(name, str) and isinstance(options, Mapping):
            return name, dict(options)
    raise FerError(f"transform {item!r} is not understood: write `name` or `name: {{option: value}}`")


def build_transform(item: Item, info: TransformInfo) -> Transform:
    """One transform of the registry. FerError for an unknown name, an unknown or a missing option."""
    name, options = _parse(item)
    factory = find("transforms", name)
    parameters = list(inspect.signature(factory).parameters.values())[1:]
    named = {parameter.name: parameter for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD}
    unknown = [option for option in options if option not in named]
    if unknown and len(named) == len(parameters):
        hint = nearest(str(unknown[0]), named) if named else "it takes none"
        raise FerError(f"transform {name} has no option {unknown[0]!r}: {hint}")
    missing = [
        key for key, parameter in named.items() if parameter.default is parameter.empty and key not in options
    ]
    if missing:
        raise FerError(f"transform {name} needs the option {missing[0]!r}: write `{name}: {{{missing[0]}: ...}}`")
    return cast(Transform, factory(info, **options))


class RandomApply(Transform):
    """Apply a list of transforms together with probability `p`.

    Args:
        info: Handed on.
        transforms: As in the pipeline; all must keep the size and kind of the picture.
        p: Probability.
    """

    def __init__(self, info: TransformInfo, transforms: Sequence[Item], p: float = 0.5) -> None:
        self.p = check_number("random_apply: p", p, 0, 1)
        if not isinstance(transforms, Sequence) or isinstance(transforms, str) or not transforms:
            raise FerError(f"random_apply: transforms is {transforms!r}: give a list of one transform or more")
        self.transforms = [build_transform(item, info) for item in transforms]
        for transform in self.transforms:
            if isinstance(transform, Resize | Normalize):
                raise FerError(
                    "random_apply cannot hold resize or normalize, which every picture needs: move them out"
                )
        self.raw = all(transform.raw for transform in self.transforms)

    def image(self, image: Picture, rng: SampleRandom) -> Picture:
        """Apply all to one picture, or none."""
        chosen = len(chosen_rows(rng, self.p)) > 0
        inner = rng.branch()
        if chosen:
            for transform in self.transforms:
                image = transform.image(image, inner)
        return image

    def batch(self, images: Tensor, rng: SampleRandom) -> Tensor:
        """Apply all to the chosen samples, in place."""
        rows = chosen_rows(rng, self.p)
        inner = rng.branch().select(rows)
        if len(rows):
            at = rows.to(images.device)
            part = images[at]
            for transform in self.transforms:
                part = transform.batch(part, inner)
            images[at] = part
        return images


class Pipeline:
    """Transforms in order, the first of which is `resize`. Made by `build_pipeline`."""

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = tuple(transforms)

    def image(self, image: Image.Image, rng: SampleRandom) -> Tensor:
        """A PIL picture as float32 [3, H, W], as the papers' code does it; `rng` is a stream of one sample."""
        picture: Picture = image if image.mode == "RGB" else image.convert("RGB")
        for transform in self.transforms:
            picture = transform.image(picture, rng)
        return to_tensor(picture)

    def batch(self, images: Tensor | Sequence[Pixels], rng: SampleRandom) -> Tensor:
        """A batch as float32 [N, 3, H, W], on the device where the pixels are.

        Args:
            images: uint8 [N, C, H, W] with C 1 (grey) or 3, or a list of uint8 [H, W, C] of any sizes. Neither
                is changed.
            rng: Streams of the N samples.
        """
        resize, *others = self.transforms
        if isinstance(images, Tensor):
            batch = resize.batch(images, rng)
            if batch.data_ptr() == images.data_ptr():  # what follows may write to it
                batch = batch.clone(memory_format=torch.contiguous_format)
        else:
            batch = _stack([resize.batch(_planes(pixels), rng) for pixels in images])
        batch = batch.contiguous()  # packs hold channels last; cheapest to turn while it is uint8
        for transform in others:
            batch = transform.batch(batch if transform.raw else _to_float(batch), rng)
        return _to_float(batch)


def build_pipeline(items: Sequence[Item], info: TransformInfo) -> Pipeline:
    """The pipeline of a configured list, for example `["resize", {"horizontal_flip": {"p": 0.5}}, "normalize"]`.

    Raises:
        FerError: For an unknown transform or option, a value that makes no sense, or a list that does not begin
            with `resize`.
    """
    if isinstance(items, str) or not isinstance(items, Sequence):
        raise FerError(f"transforms are {items!r}: give a list, as in [resize, normalize]")
    transforms = [build_transform(item, info) for item in items]
    if not transforms or not isinstance(transforms[0], Resize):
        raise FerError(
            "the list of transforms does not begin with resize, so faces would differ in size: put it first"
        )
    return Pipeline(transforms)


def _planes(pixels: Pixels) -> Tensor:
    """One picture [H, W, C] as a batch [1, C, H, W] in channels-last order, which resizes fastest."""
    tensor = pixels if isinstance(pixels, Tensor) else torch.from_numpy(np.ascontiguousarray(pixels))
    return tensor.permute(2, 0, 1)[None]


def _stack(pictures: list[Tensor]) -> Tensor:
    """Pictures [1, C, H, W] of one size as one new batch; grey ones get three channels if any has."""
    channels = max(picture.shape[1] for picture in pictures)
    batch = pictures[0].new_empty((len(pictures), channels, *pictures[0].shape[2:]))
    for place, picture in zip(batch, pictures, strict=True):
        place.copy_(picture[0])
    return batch


def _to_float(images: Tensor) -> Tensor:
    """Batch as float32 with three channels; uint8 is scaled to 0..1."""
    if images.dtype == torch.uint8:
        images = images.to(torch.float32).div_(255)
    return images.expand(-1, 3, -1, -1).contiguous() if images.shape[1] == 1 else images
